//! Components that can never run, and those that need more than they may have.

use std::error::Error as _;
use std::fs;

use http::Method;
use tower_wcgi::{Error, ErrorKind, WcgiBuilder, WcgiService};
use wcgi_tests::{builder, engine, request};

/// A service of the component that this text is.
fn of(dir: &tempfile::TempDir, text: &str) -> WcgiBuilder {
    let path = dir.path().join("component.wat");
    fs::write(&path, text).unwrap();
    WcgiService::builder().package(path).engine(engine().build().unwrap())
}

fn causes(error: &Error) -> String {
    std::iter::successors(error.source(), |error| (*error).source()).map(ToString::to_string).collect()
}

#[test]
fn an_import_that_nobody_provides_is_named() {
    let error = builder("noimport").build().unwrap_err();
    assert!(causes(&error).contains("nowhere:nothing/at-all"), "{error:?}");
    assert!(error.hint().unwrap().contains("wasi:cli/imports"), "{error:?}");
}

#[test]
fn a_server_for_wasi_http_is_told_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let server = "(component (component $c) (instance $i (instantiate $c))
        (export \"wasi:http/incoming-handler@0.2.0\" (instance $i)))";
    let error = of(&dir, server).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Module);
    assert!(error.to_string().contains("wasi:cli/run") && error.hint().unwrap().contains("wasi:http"), "{error:?}");
}

#[test]
fn a_component_that_is_not_valid_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("component.wasm");
    fs::write(&path, b"\0asm\x0d\0\x01\0\xff\xff").unwrap();
    let error = WcgiService::builder().package(&path).engine(engine().build().unwrap()).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Module);
}

/// A component of `memories` memories, each of two MiB.
fn composed(memories: usize) -> String {
    let instances = "(core instance (instantiate $memory))".repeat(memories);
    format!(
        "(component
            (core module $memory (memory 32))
            {instances}
            (core module $program (func (export \"run\") (result i32) i32.const 0))
            (core instance $program (instantiate $program))
            (func $run (result (result)) (canon lift (core func $program \"run\")))
            (instance $exported (export \"run\" (func $run)))
            (export \"wasi:cli/run@0.2.0\" (instance $exported)))"
    )
}

#[tokio::test]
async fn the_memory_limit_is_for_all_memories_together() {
    let dir = tempfile::tempdir().unwrap();
    for (max_memory, kind) in [(3 << 20, ErrorKind::MemoryLimit), (4 << 20, ErrorKind::NoResponse)] {
        let service = of(&dir, &composed(2)).max_memory(max_memory).build().unwrap();
        assert_eq!(service.try_call(request(Method::GET, "/", "")).await.unwrap_err().kind(), kind);
    }
    let error = of(&dir, &composed(1)).max_memory(1 << 20).build().unwrap_err();
    assert!(error.to_string().contains("above the limit of 1048576"), "{error}");
    let error = of(&dir, &composed(3)).build().unwrap_err();
    assert!(causes(&error).contains("3 Wasm linear memories"), "{error:?}");
}
