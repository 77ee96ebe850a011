//! What cannot work: one `error:` line, a hint, the right exit code, and never a panic.

use std::fs;
use std::net::TcpListener;

use wcgi_tests::guest;

use crate::process::{output, text, wcgi};

/// Runs `wcgi run ARGUMENTS…`, which must fail with exit code 1, and gives what it said.
fn failure(arguments: &[&str]) -> String {
    let output = output(&[&["run", "--addr", "127.0.0.1:0"], arguments].concat());
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(output.stdout.is_empty());
    assert!(
        !stderr.contains("panic") && !stderr.contains("RUST_BACKTRACE") && !stderr.contains("listening"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{stderr}");
    stderr
}

#[test]
fn what_is_wrong_with_a_package_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("broken.wasm"), b"\0asm\x01\0\0\0broken").unwrap();
    fs::create_dir(path("empty")).unwrap();
    let manifest = |name: &str, text: &str| {
        fs::create_dir(path(name)).unwrap();
        fs::copy(guest("hello"), dir.path().join(name).join("m.wasm")).unwrap();
        fs::write(dir.path().join(name).join("wasmer.toml"), text).unwrap();
    };
    let module = "[[module]]\nname = 'm'\nsource = 'm.wasm'\n";
    let command = "[[command]]\nname = 'c'\nmodule = 'm'\nrunner = 'wcgi'\n";
    manifest("no-module", &format!("[[module]]\nname = 'm'\nsource = 'missing.wasm'\n{command}"));
    manifest("dialect", &format!("{module}{command}annotations = {{ wcgi = {{ dialect = 'http' }} }}\n"));
    manifest("runner", &format!("{module}{}", command.replace("wcgi", "emscripten")));
    manifest("syntax", "[[module]\n");
    manifest("fs", &format!("{module}{command}[fs]\n'/app' = 'missing'\n"));

    let built = |name: &str| guest(name).to_str().unwrap().to_owned();
    let cases: [(&str, &[&str]); 10] = [
        (&path("nothing"), &["nothing", "hint: "]),
        (&path("empty"), &["wasmer.toml", "hint: "]),
        (&path("no-module"), &["wasmer.toml:3", "source", "missing.wasm", "hint: "]),
        (&path("broken.wasm"), &["broken.wasm", "hint: "]),
        (&built("nostart"), &["_start", "hint: "]),
        (&built("noimport"), &["import", "hint: "]),
        (&path("dialect"), &["wasmer.toml:8", "dialect", "rfc-3875", "hint: "]),
        (&path("runner"), &["wasmer.toml:7", "runner", "emscripten"]),
        (&path("syntax"), &["wasmer.toml:1"]),
        (&path("fs"), &["missing", "/app", "hint: "]),
    ];
    for (package, expected) in cases {
        let said = failure(&[package]);
        for part in expected {
            assert!(said.contains(part), "{package}: {part:?} is not in {said}");
        }
    }
}

#[test]
fn a_missing_host_directory_is_named() {
    let said = failure(&[guest("hello").to_str().unwrap(), "--mapdir", "/db:./no-such-dir"]);
    assert!(said.contains("no-such-dir") && said.contains("/db"), "{said}");
}

#[test]
fn a_rule_that_cannot_be_read_is_wrong_usage() {
    let hello = guest("hello");
    for (rule, why) in [
        ("db", "has no port"),
        ("db:0", "is no port"),
        ("db:80=127.0.0.1:0", "is no port"),
        ("*:80=127.0.0.1:80", "cannot have a target"),
        ("10.0.0.0/40:80", "is no network"),
    ] {
        let output = output(&["run", "--addr", "127.0.0.1:0", hello.to_str().unwrap(), "--net", rule]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{rule}: {stderr}");
        assert!(stderr.contains(why) && stderr.contains("--net"), "{rule}: {stderr}");
    }
}

#[test]
fn a_mapdir_with_its_halves_swapped_is_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().to_str().unwrap();
    let said = failure(&[guest("hello").to_str().unwrap(), "--mapdir", &format!("{host}:/no-such-guest-path")]);
    assert!(said.contains("\nhint: ") && said.contains(&format!("--mapdir /no-such-guest-path:{host}")), "{said}");
    // A directory that is only missing is not guessed about.
    let said = failure(&[guest("hello").to_str().unwrap(), "--mapdir", "/tmp:./no-such-dir"]);
    assert!(said.contains("mkdir") && !said.contains("comes first"), "{said}");
}

#[test]
fn a_temporary_folder_that_cannot_be_used_is_said_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for place in [file, dir.path().join("missing")] {
        let mut command = wcgi(&["run", "--addr", "127.0.0.1:0", "--cache-dir"]);
        command.arg(wcgi_tests::cache_dir()).arg(guest("hello")).env("TMPDIR", &place);
        let output = command.output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("error: cannot make a temporary directory in "), "{stderr}");
        assert!(stderr.contains(place.to_str().unwrap()) && stderr.contains("\nhint: set TMPDIR"), "{stderr}");
    }
}

#[test]
fn a_busy_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let output = output(&["run", guest("hello").to_str().unwrap(), "--addr", &addr]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.starts_with(&format!("error: cannot listen on {addr}: ")) && stderr.contains("hint: "), "{stderr}");
}

#[test]
fn an_unknown_command_is_answered_with_those_there_are() {
    let hello = wcgi_tests::root().join("examples/hello");
    let said = failure(&[hello.to_str().unwrap(), "--command", "nope"]);
    assert!(said.contains("nope"), "{said}");
}

#[test]
fn limits_out_of_bounds_are_refused() {
    let hello = guest("hello");
    let hello = hello.to_str().unwrap();
    for arguments in [["--max-concurrency", "0"], ["--max-memory", "1"], ["--max-memory", "5GiB"]] {
        failure(&[hello, arguments[0], arguments[1]]);
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let hello = guest("hello");
    let hello = hello.to_str().unwrap();
    let cases: [&[&str]; 9] = [
        &[],
        &["no-such-command"],
        &["run"],
        &["run", hello, "--no-such-option"],
        &["run", hello, "--mapdir", "/db"],
        &["run", hello, "--env", "X"],
        &["run", hello, "--max-body", "1TB"],
        &["run", hello, "--trusted-proxy", "localhost"],
        &["run", hello, "--deadline", "-1"],
    ];
    for arguments in cases {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    for arguments in [&["--help"][..], &["run", "--help"], &["--version"]] {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(0));
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
}
