//! Packages of every form, opened and run.

use std::fs;
use std::path::Path;

use http::StatusCode;
use tower_wcgi::{ErrorKind, WcgiService};
use wcgi_tests::{engine, get, guest, root};

fn package(dir: &Path, manifest: &str) -> Result<WcgiService, tower_wcgi::Error> {
    fs::write(dir.join("wasmer.toml"), manifest).unwrap();
    WcgiService::builder().package(dir).engine(engine().build().unwrap()).build()
}

/// As published, but for the path of the module, which is where cargo puts it.
#[tokio::test]
async fn the_announcements_rust_manifest_runs_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target/wasm32-wasi/release");
    fs::create_dir_all(&target).unwrap();
    fs::copy(guest("hello-rust"), target.join("wcgi-rust-template.wasm")).unwrap();
    let service = package(
        dir.path(),
        r#"
[package]
name = "wasmer/wcgi-rust-template"
version = "0.1.0"
description = "A template for WCGI applications"
license = "MIT OR Apache-2.0"
readme = ""
repository = ""

[[module]]
name = "server"
source = "target/wasm32-wasi/release/wcgi-rust-template.wasm"
abi = "wasi"

[[command]]
name = "server"
runner = "wcgi"
module = "wcgi"
annotations = { wcgi = { dialect = "rfc-3875" } }
"#,
    );
    assert_eq!(get(&service.unwrap(), "/").await.text(), "Hello, World!\n");
}

#[tokio::test]
async fn the_example_package_greets() {
    let service = WcgiService::builder().package(root().join("examples/hello")).engine(engine().build().unwrap());
    let reply = get(&service.build().unwrap(), "/").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.text().contains("Hello"), "{}", reply.text());
}

#[tokio::test]
async fn env_and_arguments_come_from_the_manifest_and_the_builder_wins() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(guest("env"), dir.path().join("env.wasm")).unwrap();
    let manifest = r#"
[[module]]
name = "env"
source = "env.wasm"
[[command]]
name = "env"
module = "env"
runner = "wcgi"
[command.annotations.wasi]
env = ["A=package", "B=package", "SCRIPT_NAME=/fixed", "SCRIPT_FILENAME=/app/x", "DOCUMENT_ROOT=/app", "QUERY_STRING=no"]
"#;
    fs::write(dir.path().join("wasmer.toml"), manifest).unwrap();
    let service = WcgiService::builder().package(dir.path()).engine(engine().build().unwrap());
    let reply = get(&service.env("B", "operator").build().unwrap(), "/p?q").await;
    for (name, value) in [
        ("A", "package"),
        ("B", "operator"),
        ("SCRIPT_NAME", "/fixed"),
        ("SCRIPT_FILENAME", "/app/x"),
        ("DOCUMENT_ROOT", "/app"),
        ("QUERY_STRING", "q"),
        ("REDIRECT_STATUS", "200"),
    ] {
        assert_eq!(reply.variable(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_bare_module_and_its_text_form_run() {
    for name in ["hello", "tiny"] {
        assert_eq!(get(&wcgi_tests::service(name), "/").await.status, StatusCode::OK);
    }
}

#[test]
fn what_can_never_run_is_refused_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let open =
        |path: &Path| WcgiService::builder().package(path).engine(engine().build().unwrap()).build().unwrap_err();
    let cases: [(&str, &[u8], ErrorKind); 4] = [
        ("broken.wasm", b"\0asm\x01\0\0\0broken", ErrorKind::Module),
        ("empty.wasm", b"", ErrorKind::Module),
        ("image.wasm", b"\x89PNG\r\n\x1a\n\xff", ErrorKind::Module),
        ("component.wasm", b"\0asm\x0d\0\x01\0", ErrorKind::Module),
    ];
    for (name, bytes, kind) in cases {
        fs::write(dir.path().join(name), bytes).unwrap();
        let error = open(&dir.path().join(name));
        assert_eq!(error.kind(), kind, "{name}");
        assert!(error.to_string().contains(name), "{error}");
    }
    assert_eq!(open(&dir.path().join("missing")).kind(), ErrorKind::Package);
    assert_eq!(open(dir.path()).kind(), ErrorKind::Package);
}

#[test]
fn a_module_that_starts_with_more_memory_than_its_limit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.wat");
    fs::write(&path, r#"(module (memory (export "memory") 32) (func (export "_start")))"#).unwrap();
    let service = |bytes| {
        let builder = WcgiService::builder().package(&path).engine(engine().build().unwrap());
        builder.max_memory(bytes).build()
    };
    assert!(service(2 << 20).is_ok());
    let error = service(1 << 20).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Module);
    assert!(error.to_string().contains("starts with 2097152 bytes"), "{error}");
}
