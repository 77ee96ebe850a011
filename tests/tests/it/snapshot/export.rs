//! Packages made ahead of time: they answer as what they were made from, and are not initialised again.

use std::fs;
use std::path::{Path, PathBuf};

use tower_wcgi::{Access, Engine, Error, ErrorKind, WcgiBuilder, WcgiService};
use wcgi_tests::{engine, get, guest};

use super::Scene;
use crate::log;

/// A package with mounts, one in another and one writable, a site, and a start-up that keeps a file.
fn package(scene: &Scene) -> WcgiBuilder {
    let manifest = format!(
        "[package]\nname = 'a/b'\nversion = '1.2.3'\nlicense-file = 'LICENSE'\nreadme = '../outside'\n\
         [[module]]\nname = 'm'\nsource = {:?}\n[[command]]\nname = 'x y'\nmodule = 'm'\nrunner = 'wcgi'\n\
         [command.annotations.wasi]\nenv = ['START=file', 'A=\"1\"']\nmain-args = ['-x']\n\
         [command.annotations.wcgi.site]\nroot = '/d'\nscripts = ['.cgi']\nfallback = '/a.cgi'\ndeny = ['/no*']\n\
         [fs]\n'/d' = 'd'\n'/d/deep' = 'd/deep'\n'/w' = {{ path = 'w', mode = 'rw' }}\n",
        scene.module("m")
    );
    for file in ["d/a.cgi", "d/page.txt", "d/nothing", "d/deep/b", "w/seed", "LICENSE"] {
        scene.write(file, file);
    }
    #[cfg(unix)]
    let _ = std::os::unix::fs::symlink("a", scene.0.path().join("d/link"));
    fs::write(scene.0.path().join("wasmer.toml"), manifest).unwrap();
    WcgiService::builder().package(scene.0.path()).engine(scene.engine())
}

fn output(scene: &Scene) -> PathBuf {
    scene.0.path().join("out")
}

fn open(directory: &Path, engine: Engine) -> Result<WcgiService, Error> {
    WcgiService::builder().package(directory).engine(engine).build()
}

#[tokio::test]
async fn it_answers_as_the_package_and_has_all_its_files_and_settings() {
    let scene = Scene::new();
    let before = package(&scene).build().unwrap();
    let exported = package(&scene).env("B", "2").export(output(&scene)).unwrap();
    assert!(exported.is_snapshot() && exported.code_bytes().is_none() && exported.data().0 > 0);
    let out = output(&scene);
    let manifest = fs::read_to_string(out.join("wasmer.toml")).unwrap();
    for line in ["name = \"a/b\"", "version = \"1.2.3\"", "license-file = \"LICENSE\"", "\"B=2\""] {
        assert!(manifest.contains(line), "{manifest}");
    }
    assert!(out.join("LICENSE").exists() && out.join("x-y.wasm").exists());
    let leftovers = fs::read_dir(scene.0.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!leftovers.into_iter().any(|name| name.to_string_lossy().contains("wcgi-build")));

    // What it was made from may go, or become something else.
    scene.write("d/a", "omega");
    let service = open(&out, scene.engine()).unwrap();
    for target in
        ["/a.cgi", "/a.cgi?path=/d/deep/b", "/?path=/d/link", "/page.txt", "/nothing", "/deep", "/?path=/w/seed"]
    {
        let (expected, reply) = (get(&before, target).await, get(&service, target).await);
        let expected_text = expected.text().replace("now=omega", "now=alpha");
        assert_eq!((reply.status, reply.text()), (expected.status, expected_text), "{target}");
    }
    assert_eq!(get(&service, "/").await.text(), "started=file\nkept=alpha\n");
    assert_eq!(get(&service, "/?path=/w/new&data=x").await.variable("written").unwrap(), "ok");
    assert!(!scene.writable().join("new").exists());
    let copied = fs::metadata(out.join("files/d/a")).unwrap().modified().unwrap();
    assert_eq!(copied, fs::metadata(scene.0.path().join("d/page.txt")).unwrap().modified().unwrap());
}

#[tokio::test]
async fn it_opens_with_the_mounts_of_then_and_no_others() {
    let scene = Scene::new();
    let with_more = || package(&scene).map_dir("/more", scene.writable(), Access::ReadWrite);
    with_more().export(output(&scene)).unwrap();
    let error = open(&output(&scene), scene.engine()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Package);
    assert!(error.to_string().contains("for mounts at /d/deep, /more, /d, /w and"), "{error}");
    let builder = WcgiService::builder().package(output(&scene)).engine(scene.engine());
    let service = builder.map_dir("/more", scene.writable(), Access::ReadWrite).build().unwrap();
    assert_eq!(get(&service, "/?path=/more/seed").await.variable("now").unwrap(), "w/seed");
    assert!(!output(&scene).join("files/more").exists());
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    let scene = Scene::new();
    let refused = |builder: WcgiBuilder, output: &Path, kind, why: &str| {
        let error = builder.export(output).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(why), "{error}");
    };
    let out = output(&scene);
    let plain = || WcgiService::builder().package(guest("hello")).engine(scene.engine());
    refused(plain(), &out, ErrorKind::Module, "no start-up");
    refused(package(&scene).snapshot(false), &out, ErrorKind::Module, "no start-up");
    refused(package(&scene).env("START", "trap"), &out, ErrorKind::Trap, "it trapped");
    refused(package(&scene), &scene.0.path().join("d/out"), ErrorKind::Package, "would contain itself");
    refused(package(&scene), &scene.0.path().join("missing/out"), ErrorKind::Host, "cannot write");
    assert!(!out.exists());
    fs::create_dir(&out).unwrap();
    scene.write("out/mine", "mine");
    refused(package(&scene), &out, ErrorKind::Host, "is there and not empty");
    refused(package(&scene), &out.join("mine"), ErrorKind::Host, "cannot write");
    assert_eq!(fs::read_to_string(out.join("mine")).unwrap(), "mine");
    fs::remove_file(out.join("mine")).unwrap();
    package(&scene).export(&out).unwrap();
    let names = fs::read_dir(scene.0.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().starts_with(".wcgi-build")));
}

#[tokio::test]
async fn compiled_code_is_loaded_only_where_it_is_trusted_and_fits() {
    log::capture();
    let scene = Scene::new();
    let out = output(&scene);
    let exported = package(&scene).export_compiled(&out).unwrap();
    assert!(exported.is_snapshot() && exported.code_bytes().unwrap() > 0);
    let label = out.join("x-y.wasm").display().to_string();
    let about = |what: &str| {
        let lines = log::about("").into_iter().filter(|line| line.contains(&label) && line.contains(what));
        lines.count()
    };
    let (fits, unused) = ("cannot be used here", "is not used");
    let text = async |engine: tower_wcgi::EngineBuilder| {
        let service = open(&out, engine.max_concurrency(1).build().unwrap()).unwrap();
        get(&service, "/").await.text()
    };
    let expected = "started=file\nkept=alpha\n";
    assert_eq!(text(engine().no_cache()).await, expected);
    assert_eq!((about(fits), about(unused)), (0, 1));
    assert_eq!(text(engine().no_cache().trust_precompiled(true)).await, expected);
    assert_eq!((about(fits), about(unused)), (0, 1));
    // Whatever the limit.
    assert_eq!(text(engine().no_cache().trust_precompiled(true).max_memory(64 << 20)).await, expected);
    assert_eq!((about(fits), about(unused)), (0, 1));

    let entry = fs::read_dir(out.join("compiled")).unwrap().next().unwrap().unwrap().path();
    let code = fs::read_dir(entry).unwrap().next().unwrap().unwrap().path();
    let mut damaged = fs::read(&code).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(&code, &damaged).unwrap();
    assert_eq!(text(engine().no_cache().trust_precompiled(true)).await, expected);
    assert_eq!((about(fits), about(unused)), (1, 1));
    // The hash is right, and it is nothing that wasmtime takes: cut in the middle, or of another version.
    let mut other = damaged.clone();
    other[last] ^= 1;
    let versions: Vec<_> = (0..last).filter(|at| other[*at..].starts_with(b"\x00\x0248")).collect();
    assert!(!versions.is_empty(), "wasmtime's version is in it");
    versions.into_iter().for_each(|at| other[at + 2] = b'1');
    for refused in [&damaged[..1000], &other] {
        let before = about(fits);
        fs::remove_file(fs::read_dir(code.parent().unwrap()).unwrap().next().unwrap().unwrap().path()).unwrap();
        let name = blake3::hash(refused).to_hex();
        fs::write(code.with_file_name(name.as_str()).with_extension("cwasm"), refused).unwrap();
        assert_eq!(text(engine().no_cache().trust_precompiled(true)).await, expected);
        assert_eq!(about(fits), before + 1);
    }
}

/// A program without a start-up, and a component, which has none.
#[tokio::test]
async fn anything_can_be_compiled_ahead() {
    let scene = Scene::new();
    let component = wcgi_tests::root().join("target/guests/component/hello.wasm");
    for (n, module) in [guest("hello"), component].into_iter().enumerate() {
        let out = scene.0.path().join(n.to_string());
        let exported = WcgiService::builder().package(module).engine(scene.engine()).export_compiled(&out).unwrap();
        assert!(!exported.is_snapshot());
        let engine = engine().max_concurrency(1).cache_dir(scene.0.path().join("other")).trust_precompiled(true);
        let service = open(&out, engine.build().unwrap()).unwrap();
        assert_eq!(get(&service, "/").await.text(), "Hello, World!\n");
        assert!(!scene.0.path().join("other").exists(), "nothing was compiled");
    }
}

/// A link would lead elsewhere in the new package, and what gets its name would be written through it.
#[cfg(unix)]
#[test]
fn what_a_package_says_of_itself_is_copied_unless_it_is_a_link() {
    let scene = Scene::new();
    let outside = scene.0.path().join("outside.txt");
    fs::write(&outside, "mine").unwrap();
    std::os::unix::fs::symlink(&outside, scene.0.path().join("m.wasm.link")).unwrap();
    fs::rename(scene.module("m"), scene.0.path().join("program.wasm")).unwrap();
    fs::rename(scene.0.path().join("m.wasm.link"), scene.0.path().join("m.wasm")).unwrap();
    scene.write("docs/README.md", "read me");
    let manifest = "[package]\nname = 'a/b'\nversion = '1.2.3'\nlicense-file = 'docs/README.md'\nreadme = 'm.wasm'\n\
         [[module]]\nname = 'm'\nsource = 'program.wasm'\n[[command]]\nname = 'm'\nmodule = 'm'\nrunner = 'wcgi'\n";
    fs::write(scene.0.path().join("wasmer.toml"), manifest).unwrap();
    let out = output(&scene);
    WcgiService::builder().package(scene.0.path()).engine(scene.engine()).export(&out).unwrap();
    assert_eq!(fs::read_to_string(out.join("docs/README.md")).unwrap(), "read me");
    assert!(fs::symlink_metadata(out.join("m.wasm")).unwrap().is_file());
    assert_eq!(fs::read_to_string(outside).unwrap(), "mine");
}
