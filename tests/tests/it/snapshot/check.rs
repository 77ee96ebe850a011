//! What a check of snapshots finds: each dependency under the name of its cause, and nothing where there is none.

use std::fs;

use tower_wcgi::{Cause, ErrorKind, SnapshotReport, WcgiService};
use wcgi_tests::{builder, guest};

use super::Scene;

fn causes(report: &SnapshotReport) -> Vec<Cause> {
    let mut causes: Vec<_> = report.captured().iter().map(tower_wcgi::Captured::cause).collect();
    causes.dedup();
    causes
}

#[test]
fn a_start_up_that_looks_at_nothing_keeps_nothing() {
    let report = builder("table").check_snapshot().unwrap();
    assert!(report.captured().is_empty(), "{report:?}");
    let (bytes, spans) = report.data();
    assert!(bytes > 1000 && spans > 0, "{report:?}");
}

#[test]
fn what_is_kept_has_its_cause_its_place_and_its_size() {
    let scene = Scene::new();
    // Its start-up calls getenv, so libc has a copy of the environment.
    for (start, cause, sizes) in [
        ("nothing", None, 0..0),
        ("coin", None, 0..0),
        ("random", Some(Cause::Randomness), 1..33),
        ("time", Some(Cause::Time), 1..17),
    ] {
        let report = scene.builder(start).env("START", start).check_snapshot().unwrap();
        let expected: Vec<_> = cause.into_iter().chain([Cause::Environment]).collect();
        assert_eq!(causes(&report), expected, "{start}: {report:?}");
        let of_cause = |captured: &&tower_wcgi::Captured| Some(captured.cause()) == cause;
        for captured in report.captured().iter().filter(of_cause) {
            let addresses = captured.addresses().unwrap();
            assert!(addresses.start > 0 && sizes.contains(&addresses.len()), "{start}: {captured:?}");
        }
        // Its eight bytes as text; single ones are what is left on the stack.
        let whole =
            |captured: &&tower_wcgi::Captured| captured.addresses().is_some_and(|addresses| addresses.len() > 8);
        assert!(start != "random" || report.captured().iter().filter(of_cause).any(|captured| whole(&captured)));
    }
}

#[test]
fn a_global_has_no_address() {
    let scene = Scene::new();
    let module = scene.0.path().join("global.wat");
    let text = r#"(module
        (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (global $seed (mut i32) (i32.const 0))
        (func (export "wizer-initialize")
            (drop (call $random_get (i32.const 8) (i32.const 4)))
            (global.set $seed (i32.load (i32.const 8)))
            (i32.store (i32.const 8) (i32.const 0)))
        (func (export "_start")))"#;
    fs::write(&module, text).unwrap();
    let report = WcgiService::builder().package(&module).engine(scene.engine()).check_snapshot().unwrap();
    assert!(matches!(report.captured(), [one] if one.cause() == Cause::Randomness && one.addresses().is_none()));
}

#[test]
fn a_module_that_cannot_be_snapshotted_says_why() {
    let scene = Scene::new();
    let error = scene.builder("trap").env("START", "trap").check_snapshot().unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Trap, "it trapped"));
    let plain = WcgiService::builder().package(guest("hello")).engine(scene.engine());
    let error = plain.check_snapshot().unwrap_err();
    assert!(error.kind() == ErrorKind::Module && error.to_string().contains("no start-up"), "{error}");
}
