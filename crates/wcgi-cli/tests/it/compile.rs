//! Compiling what somebody has made to be slow, or to need all memory: it ends at its limits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::process::{Serving, output, text, wcgi};

/// A module whose one function has so many locals and branches between them, for which compilers need time and memory that grow
/// with both.
fn merging(dir: &TempDir, locals: usize, branches: usize) -> PathBuf {
    let branch = |n: usize| {
        let [to, one, other] = [n * 7, n * 13, n].map(|n| n % locals);
        format!("(if (local.get {one}) (then (local.set {to} (local.get {other}))))")
    };
    let branches: String = (0..branches).map(branch).collect();
    let function = format!("(func (export \"_start\") (local {}) {branches})", "i32 ".repeat(locals));
    let path = dir.path().join("merging.wat");
    fs::write(&path, format!("(module (memory (export \"memory\") 1) {function})")).unwrap();
    path
}

fn failure(module: &Path, arguments: &[&str]) -> String {
    let run = ["run", module.to_str().unwrap(), "--addr", "127.0.0.1:0", "--no-cache"];
    let output = output(&[&run, arguments].concat());
    assert_eq!(output.status.code(), Some(1));
    text(&output.stderr)
}

#[test]
fn a_module_that_is_slow_to_compile_is_refused_at_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    // Minutes without the limits.
    let said = failure(&merging(&dir, 20_000, 50_000), &["--max-compile-time", "0.2", "--max-compile-memory", "0"]);
    assert!(said.contains("error: ") && said.contains("merging.wat was not compiled within 200ms"), "{said}");
    assert!(said.contains("hint: raise the time limit"), "{said}");
}

#[test]
fn a_module_that_needs_all_memory_to_compile_is_refused_at_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let said = failure(&merging(&dir, 2_000, 20_000), &["--max-compile-memory", "192MiB"]);
    assert!(said.contains("merging.wat cannot be compiled within the limits"), "{said}");
    assert!(said.contains("201326592 bytes") && said.contains("hint: raise the memory limit"), "{said}");
}

/// Its limits are no larger than those that this process has.
#[test]
fn what_fits_is_compiled_within_small_limits() {
    let arguments = ["--no-cache", "--max-compile-time", "60", "--max-compile-memory", "192MiB"];
    let serving = Serving::start(&wcgi_tests::guest("hello"), &arguments);
    assert!(serving.get("/").contains("Hello"));
    assert!(serving.lines_until("GET /").iter().all(|line| !line.contains("WARN")));
}

/// A server that is killed leaves no compiler behind.
#[cfg(target_os = "linux")]
#[test]
fn the_compiler_ends_with_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let module = merging(&dir, 20_000, 50_000);
    let arguments =
        ["run", module.to_str().unwrap(), "--addr", "127.0.0.1:0", "--no-cache", "--max-compile-memory", "0"];
    let mut command: Command = wcgi(&arguments);
    let mut server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let helper = loop {
        if let Some(helper) = child(server.id()) {
            break helper;
        }
        assert!(server.try_wait().unwrap().is_none(), "it ended before it compiled");
        std::thread::yield_now();
    };
    // Not before it has said that it wants to end with its parent, which it does before anything else.
    while !fs::read_to_string(format!("/proc/{helper}/limits")).unwrap().contains("Max core file size        0  ") {
        std::thread::yield_now();
    }
    server.kill().unwrap();
    server.wait().unwrap();
    // Nobody may be there to collect it: a zombie has ended too.
    let runs = || {
        let stat = fs::read_to_string(format!("/proc/{helper}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    };
    while runs() {
        std::thread::yield_now();
    }
}

/// The first child of the process `id`.
#[cfg(target_os = "linux")]
fn child(id: u32) -> Option<u32> {
    let is_child = |stat: &str| {
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<u32>().ok());
        parent == Some(id)
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut ids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    ids.find(|process| fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| is_child(&stat)))
}
