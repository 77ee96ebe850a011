//! Another client copies our artefacts as it copies all others.

use std::process::Command;

use crate::server::Server;
use crate::{MODULE, Machine, blog, directory, read, reference};

fn skopeo(arguments: &[&str]) -> String {
    let output = Command::new("skopeo").args(arguments).output();
    let output = output.expect("skopeo is not there; `cargo xtask setup` installs it");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_skopeo_copies_is_the_same_package() {
    let storages = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [from, to] = storages.each_ref().map(|storage| Server::start(storage.path()));
    let name = reference(&from.name("me/blog:1"));
    let pushed = Machine::new().registry().push(blog("x").path(), &name, None).unwrap();

    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{}", from.name("me/blog:1"))]);
    for expected in [
        r#""artifactType":"application/vnd.wcgi.package.v1""#,
        r#""mediaType":"application/vnd.wcgi.manifest.v1+toml""#,
        r#""mediaType":"application/wasm""#,
        r#""mediaType":"application/vnd.oci.image.layer.v1.tar+zstd""#,
        r#""mediaType":"application/vnd.oci.empty.v1+json""#,
        r#""dev.wcgi.mount":"/app""#,
        r#""org.opencontainers.image.title":"m.wasm""#,
        r#""org.opencontainers.image.version":"1.0.0""#,
    ] {
        assert!(raw.contains(expected), "{expected} is not in {raw}");
    }
    let copy = |rest: &str| {
        let [from, to] = [&from, &to].map(|server| format!("docker://{}", server.name(rest)));
        skopeo(&["copy", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false", &from, &to]);
    };
    copy("me/blog:1");
    let (_elsewhere, pulled) = Machine::with_package(&reference(&to.name("me/blog:1")));
    assert_eq!(pulled.digest, pushed.digest);
    assert_eq!(read(&pulled.path, "app/index.php"), "x");

    let module = directory(&[("m.wasm", MODULE)]);
    let name = reference(&from.name("me/m:1"));
    Machine::new().registry().push(&module.path().join("m.wasm"), &name, None).unwrap();
    copy("me/m:1");
    Machine::new().registry().pull(&reference(&to.name("me/m:1"))).unwrap();
}
