//! What is pushed comes back elsewhere, nothing twice, and without the registry too.

use std::fs;
use std::os::unix::fs::symlink;

use wcgi_registry::{ErrorKind, Options, Store};

use crate::proxy::Proxy;
use crate::server::Server;
use crate::{BLOG, MODULE, Machine, blog, directory, read, reference};

#[test]
fn a_package_comes_back_on_another_machine() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let name = reference(&server.name("me/blog:1.0"));
    let pushed = Machine::new().registry().push(blog("<?php 1").path(), &name, None).unwrap();
    assert!(pushed.left_out.is_empty());

    let elsewhere = Machine::new();
    let pulled = elsewhere.registry().pull(&name).unwrap();
    assert_eq!(pulled.digest, pushed.digest);
    assert_eq!(read(&pulled.path, "app/index.php"), "<?php 1");
    assert_eq!(fs::read(pulled.path.join("m.wasm")).unwrap(), MODULE);
    assert!(read(&pulled.path, "wasmer.toml").contains("[[command]]"));
    assert!(pulled.needs.is_empty() && pulled.network.is_empty());
    assert_eq!((&*pulled.modules[0].name, &*pulled.mounts[0].name), ("m", "/app"));

    let by_digest = elsewhere.registry().pull(&name.pinned(&pushed.digest)).unwrap();
    assert_eq!(by_digest.path, pulled.path);
}

#[test]
fn the_same_package_is_the_same_artefact_and_is_sent_once() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let name = reference(&server.name("me/blog:1.0"));
    let first = Machine::new().registry().push(blog("one").path(), &name, None).unwrap();
    let proxy = Proxy::watch(&server.address);
    let again = reference(&format!("{}/me/blog:1.0", proxy.address));
    let second = Machine::new().registry().push(blog("one").path(), &again, None).unwrap();
    assert_eq!(first.digest, second.digest);
    let uploads = |proxy: &Proxy| proxy.requests().iter().filter(|request| request.starts_with("POST")).count();
    assert_eq!(uploads(&proxy), 0);

    // The mount alone has changed.
    let machine = Machine::new();
    let third = machine.registry().push(blog("two").path(), &again, None).unwrap();
    assert_ne!(first.digest, third.digest);
    assert_eq!(uploads(&proxy), 1);
    // Beside it, in another repository of the same registry, no blob is sent at all.
    let beside = reference(&format!("{}/me/copy:1.0", proxy.address));
    machine.registry().push(blog("two").path(), &beside, None).unwrap();
    let requests = proxy.requests();
    assert!(requests.iter().any(|request| request.contains("mount=sha256")), "{requests:?}");
    assert!(!requests.iter().any(|request| request.starts_with("PUT") && request.contains("blobs")), "{requests:?}");
}

#[test]
fn what_was_pulled_once_runs_without_the_registry() {
    let storage = tempfile::tempdir().unwrap();
    let mut server = Server::start(storage.path());
    let name = reference(&server.name("me/blog:1.0"));
    Machine::new().registry().push(blog("here").path(), &name, None).unwrap();
    let machine = Machine::new();
    let digest = machine.registry().pull(&name).unwrap().digest;
    server.kill();

    let pulled = machine.registry().pull(&name).unwrap();
    assert_eq!((read(&pulled.path, "app/index.php").as_str(), &pulled.digest), ("here", &digest));
    machine.registry().pull(&name.pinned(&digest)).unwrap();

    let error = Machine::new().registry().pull(&name).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("me/blog:1.0"), "{error}");
    let error = machine.registry().pull(&reference(&server.name("me/other:1.0"))).unwrap_err();
    assert!(error.to_string().contains("me/other:1.0"), "{error}");
}

#[test]
fn a_tag_is_asked_for_once_and_a_digest_never() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let proxy = Proxy::watch(&server.address);
    let name = reference(&format!("{}/me/blog:1.0", proxy.address));
    Machine::new().registry().push(blog("one").path(), &name, None).unwrap();
    let machine = Machine::new();
    let first = machine.registry().pull(&name).unwrap();
    proxy.requests();

    machine.registry().pull(&name).unwrap();
    assert_eq!(proxy.requests(), ["HEAD /v2/me/blog/manifests/1.0"]);
    machine.registry().pull(&name.pinned(&first.digest)).unwrap();
    assert_eq!(proxy.requests(), [""; 0]);

    Machine::new().registry().push(blog("two").path(), &name, None).unwrap();
    let moved = machine.registry().pull(&name).unwrap();
    assert_eq!(read(&moved.path, "app/index.php"), "two");
    let pinned = machine.registry().pull(&name.pinned(&first.digest)).unwrap();
    assert_eq!(read(&pinned.path, "app/index.php"), "one");
}

#[test]
fn a_module_alone_is_an_artefact_as_others_make_them() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let files = directory(&[("tool.wasm", MODULE), ("text.wat", b"(module)"), ("broken.wasm", b"\0as")]);
    for file in ["tool.wasm", "text.wat"] {
        let name = reference(&server.name("me/tool:1"));
        Machine::new().registry().push(&files.path().join(file), &name, None).unwrap();
        let (_machine, pulled) = Machine::with_package(&name);
        assert_eq!(fs::read(&pulled.path).unwrap(), MODULE);
        let stem = file.split('.').next().unwrap();
        assert_eq!(pulled.path.file_name().unwrap().to_str().unwrap(), format!("{stem}.wasm"));
    }
    let broken = files.path().join("broken.wasm");
    let error = Machine::new().registry().push(&broken, &reference(&server.name("me/x:1")), None).unwrap_err();
    assert!(error.to_string().contains("is no WebAssembly"), "{error}");
}

#[test]
fn a_copy_of_ones_own_has_its_writable_directories() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let manifest =
        format!("{BLOG}\"/db\" = {{ path = 'db', mode = 'rw' }}\n\"/out\" = {{ path = '/srv/x', mode = 'rw' }}\n");
    let package =
        directory(&[("wasmer.toml", manifest.as_bytes()), ("m.wasm", MODULE), ("app/x", b"x"), ("db/mine", b"")]);
    let name = reference(&server.name("me/blog:1"));
    let pushed = Machine::new().registry().push(package.path(), &name, None).unwrap();
    assert_eq!(pushed.left_out, ["/db", "/out"]);

    let machine = Machine::new();
    let pulled = machine.registry().pull(&name).unwrap();
    assert_eq!(pulled.needs.iter().map(|need| &*need.guest).collect::<Vec<_>>(), ["/db", "/out"]);
    assert!(!read(&pulled.path, "wasmer.toml").contains("rw"));

    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("copy");
    machine.registry().pull_into(&name, &copy).unwrap();
    let text = read(&copy, "wasmer.toml");
    assert!(text.contains("rw") && !text.contains("/srv"), "{text}");
    assert!(copy.join("db").is_dir() && !copy.join("db/mine").exists());
    // It is the user's: what changes there does not change in the store.
    fs::write(copy.join("m.wasm"), "changed").unwrap();
    fs::write(copy.join("app/x"), "changed").unwrap();
    let again = machine.registry().pull(&name).unwrap();
    assert_eq!(read(&again.path, "app/x"), "x");
    let error = machine.registry().pull_into(&name, &copy).unwrap_err();
    assert!(error.to_string().contains("is not empty"), "{error}");
}

#[test]
fn what_cannot_be_elsewhere_is_not_pushed() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let name = reference(&server.name("me/blog:1"));
    let push = |package: &std::path::Path| Machine::new().registry().push(package, &name, None).unwrap_err();

    let package = blog("x");
    symlink("/etc/passwd", package.path().join("app/link")).unwrap();
    assert!(push(package.path()).to_string().contains("leads out"));
    let with_path = format!("{BLOG}\n[dependencies]\nphp = '../php'\n");
    let package = directory(&[("wasmer.toml", with_path.as_bytes()), ("m.wasm", MODULE), ("app/x", b"")]);
    let error = push(package.path());
    assert!(error.to_string().contains("dependencies.php") && error.hint().is_some(), "{error}");
    let package = directory(&[("wasmer.toml", BLOG.as_bytes()), ("m.wasm", MODULE)]);
    assert!(push(package.path()).to_string().contains("/app"));
    let package = directory(&[("wasmer.toml", BLOG.as_bytes()), ("app/x", b"")]);
    assert!(push(package.path()).to_string().contains("m.wasm"));
    assert!(push(&package.path().join("missing")).to_string().starts_with("no package at"));
    assert_eq!(server.blobs(), 0);
}

#[test]
fn without_a_cache_everything_is_temporary() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let name = reference(&server.name("me/blog:1"));
    Machine::new().registry().push(blog("x").path(), &name, None).unwrap();
    let registry = wcgi_registry::Registry::new(Store::temporary().unwrap(), Options::new());
    let pulled = registry.pull(&name).unwrap();
    assert_eq!(read(&pulled.path, "app/index.php"), "x");
    let path = pulled.path;
    drop(registry);
    assert!(!path.exists());
}

#[test]
fn many_processes_may_pull_into_one_store() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let name = reference(&server.name("me/blog:1"));
    Machine::new().registry().push(blog("x").path(), &name, None).unwrap();
    let machine = Machine::new();
    std::thread::scope(|scope| {
        let pulls: Vec<_> = (0..8).map(|_| scope.spawn(|| machine.registry().pull(&name).unwrap().path)).collect();
        for pull in pulls {
            assert_eq!(read(&pull.join().unwrap(), "app/index.php"), "x");
        }
    });
}
