//! Lists the guest programs, so that one without a test does not compile.
#![expect(clippy::panic, reason = "a build script has no other way to fail")]

use std::path::Path;
use std::{env, fs};

fn main() {
    let sources = Path::new("guests");
    let mut guests: Vec<String> = Vec::new();
    for dir in [sources.to_path_buf(), sources.join("rust/src/bin")] {
        println!("cargo::rerun-if-changed={}", dir.display());
        for file in fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
            let path = file.expect("the directory can be read").path();
            if path.extension().is_some_and(|extension| extension == "c" || extension == "wat" || extension == "rs") {
                let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("guests have plain names");
                guests.push(stem.replace('-', "_"));
            }
        }
    }
    guests.sort();
    let calls: String = guests.iter().map(|guest| format!("$check!({guest});")).collect();
    let code = format!(
        "/// Calls a macro with the name of every guest.\n#[macro_export]\nmacro_rules! foreach_guest {{ ($check:ident) => {{ {calls} }} }}\n"
    );
    // What set-up fetches for everybody has no start-up that could be in a snapshot.
    println!("cargo::rustc-check-cfg=cfg(snapshot_php)");
    println!("cargo::rerun-if-changed=../target/guests");
    println!("cargo::rustc-check-cfg=cfg(own_php)");
    println!("cargo::rustc-check-cfg=cfg(patched_php)");
    if let Ok(php) = fs::read("../target/guests/snapshot-php.wasm") {
        println!("cargo::rustc-cfg=snapshot_php");
        // Only our own build asks the host for locks.
        if php.windows(LOCK.len()).any(|bytes| bytes == LOCK) {
            println!("cargo::rustc-cfg=own_php");
        }
        // One that is ready may be older than what is patched here.
        if php.windows(BROKEN_BODY.len()).any(|bytes| bytes == BROKEN_BODY) {
            println!("cargo::rustc-cfg=patched_php");
        }
    } else {
        println!(
            "cargo::warning=tests of PHP in a snapshot are left out; `cargo xtask php` builds one, `cargo xtask setup --php FILE` takes one"
        );
    }
    // It takes minutes to build.
    println!("cargo::rustc-check-cfg=cfg(python)");
    println!("cargo::rustc-check-cfg=cfg(python_clients)");
    println!("cargo::rerun-if-changed=../target/python/clients");
    println!("cargo::rerun-if-changed=../examples/flask");
    let flask = Path::new("../examples/flask");
    if ["python.wasm", "python/python313.zip", "site-packages/flask/app.py"]
        .iter()
        .all(|file| flask.join(file).exists())
    {
        println!("cargo::rustc-cfg=python");
        // What was built before it had sockets has none of them.
        if Path::new("../target/python/clients/requests").exists() {
            println!("cargo::rustc-cfg=python_clients");
        }
    }
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("guests.rs"), code).expect("the output folder can be written");
}

const LOCK: &[u8] = b"fd_lock_test";
/// What it says of a request's body.
const BROKEN_BODY: &[u8] = b"body broke off after";
