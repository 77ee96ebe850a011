//! `wcgi build`: what it writes and says, and that it is served.

use std::fs;

use wcgi_tests::guest;

use crate::process::{Serving, output, text};

#[test]
fn a_built_package_is_served_as_the_one_it_was_built_from() {
    let dir = tempfile::tempdir().unwrap();
    let (out, module) = (dir.path().join("out"), guest("table"));
    let cache = wcgi_tests::cache_dir();
    let arguments = ["build", module.to_str().unwrap(), "--cache-dir", cache.to_str().unwrap(), "-o"];
    let built = output(&[&arguments[..], &[out.to_str().unwrap()]].concat());
    let stdout = text(&built.stdout);
    assert!(built.status.success(), "{}", text(&built.stderr));
    assert!(stdout.starts_with(&format!("built {} from ", out.display())), "{stdout}");
    assert!(stdout.contains("\nsnapshot:  ") && !stdout.contains("compiled:"), "{stdout}");
    assert!(stdout.ends_with(&format!("\nserve it:  wcgi run {}\n", out.display())), "{stdout}");
    let response = Serving::start(&out, &[]).get("/");
    assert!(response.contains("\nloops=0\n"), "{response}");

    let mounted = dir.path().join("mounted");
    let more = ["--mapdir", "/d:.", "--max-memory", "64MiB", "-o", mounted.to_str().unwrap()];
    let stdout = text(&output(&[&arguments[..arguments.len() - 1], &more].concat()).stdout);
    let command = format!("\nserve it:  wcgi run --mapdir /d:. --max-memory 67108864 {}\n", mounted.display());
    assert!(stdout.ends_with(&command), "{stdout}");

    let again = output(&[&arguments[..], &[out.to_str().unwrap()]].concat());
    assert_eq!((again.status.code(), text(&again.stdout).as_str()), (Some(1), ""));
    let stderr = text(&again.stderr);
    assert!(stderr.contains("error: ") && stderr.contains("hint: nothing was changed"), "{stderr}");
}

#[test]
fn compiled_code_is_loaded_with_a_word_of_trust() {
    let dir = tempfile::tempdir().unwrap();
    let (out, module) = (dir.path().join("out"), guest("hello"));
    let cache = wcgi_tests::cache_dir();
    let arguments = ["build", module.to_str().unwrap(), "--cache-dir", cache.to_str().unwrap()];
    let refused = output(&[&arguments[..], &["-o", out.to_str().unwrap()]].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("no start-up that could be run ahead of time"));

    let built = output(&[&arguments[..], &["--aot", "-o", out.to_str().unwrap()]].concat());
    let stdout = text(&built.stdout);
    assert!(stdout.contains("\ncompiled:  ") && stdout.contains("wcgi run --trust-precompiled "), "{stdout}");
    let cache = dir.path().join("cache");
    let cache_dir = ["--cache-dir", cache.to_str().unwrap()];
    let trusting = Serving::start(&out, &[&cache_dir[..], &["--trust-precompiled"]].concat());
    assert!(trusting.get("/").contains("Hello"));
    assert!(!cache.exists(), "nothing was compiled");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let entry = fs::read_dir(out.join("compiled")).unwrap().next().unwrap().unwrap().path();
        for (mode, is_loaded) in [(0o777, false), (0o775, true)] {
            fs::set_permissions(&entry, fs::Permissions::from_mode(mode)).unwrap();
            let serving = Serving::start(&out, &["--trust-precompiled", "--no-cache", "-v"]);
            assert!(serving.get("/").contains("Hello"));
            let log = serving.lines_until("GET /");
            assert_eq!(log.iter().any(|line| line.contains("everybody can write to")), !is_loaded, "{log:?}");
        }
    }
    let careful = Serving::start(&out, &cache_dir);
    assert!(careful.line("INFO").contains("is not used"));
    assert!(careful.get("/").contains("Hello"));
    assert!(fs::read_dir(&cache).unwrap().next().is_some());
}

#[test]
fn a_check_lists_what_a_snapshot_keeps() {
    let cache = wcgi_tests::cache_dir();
    let check = |guest_name: &str, more: &[&str]| {
        let module = guest(guest_name);
        let arguments = ["check", "--snapshot", module.to_str().unwrap(), "--cache-dir", cache.to_str().unwrap()];
        let checked = output(&[&arguments[..], more].concat());
        (checked.status.code(), text(&checked.stdout), text(&checked.stderr))
    };
    let (code, stdout, _) = check("table", &[]);
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with("snapshot of ") && stdout.contains("nothing in it depends on"), "{stdout}");

    let (code, stdout, stderr) = check("startup", &["--env", "START=random"]);
    assert_eq!(code, Some(1), "{stderr}");
    for word in ["depends on", "\nrandomness ", "\nenvironment ", " 0x"] {
        assert!(stdout.contains(word), "{word}: {stdout}");
    }
    assert!(!stdout.contains("\ntime "), "{stdout}");

    let (code, stdout, stderr) = check("hello", &[]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("error: ") && stderr.contains("no start-up"), "{stderr}");
    let (code, ..) = check("startup", &["--env", "START=trap"]);
    assert_eq!(code, Some(1));
    assert_eq!(output(&["check", "x.wasm"]).status.code(), Some(2));
}
