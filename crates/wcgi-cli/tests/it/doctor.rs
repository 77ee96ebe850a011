//! `wcgi doctor`, `wcgi completions` and `wcgi man`.

use crate::process::{output, text, wcgi};

#[test]
fn the_doctor_says_what_there_is() {
    let cache = tempfile::tempdir().unwrap();
    let output = wcgi(&["doctor", "--cache-dir"]).arg(cache.path()).output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    for name in ["version", "compiler", "system", "open files", "engine", "cache", "TMPDIR", "runtimes", "sandbox"] {
        assert!(said.lines().any(|line| line.starts_with(&format!("{name}:"))), "no {name} in {said}");
    }
    assert!(said.contains("runtimes:       none\n") && !said.contains("FAILS"), "{said}");
    assert!(said.contains(&cache.path().display().to_string()), "{said}");
}

#[test]
fn the_doctor_fails_where_nothing_can_be_served() {
    let output = wcgi(&["doctor", "--no-cache"]).env("TMPDIR", "/nowhere/at/all").output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("TMPDIR:         FAILS: /nowhere/at/all cannot be written"), "{said}");
}

#[test]
fn completions_and_the_manual_page_know_all_commands() {
    let commands = ["run", "serve", "new", "push", "pull", "inspect", "doctor"];
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = output(&["completions", shell]);
        let script = text(&output.stdout);
        assert!(output.status.success() && commands.iter().all(|name| script.contains(name)), "{shell}: {script}");
        assert!(script.contains("trusted-proxy"), "{shell}: {script}");
    }
    assert_eq!(output(&["completions", "csh"]).status.code(), Some(2));
    let page = text(&output(&["man"]).stdout);
    assert!(page.contains(".TH wcgi 1") && page.contains("trusted\\-proxy"), "{page}");
    for name in commands {
        assert!(page.contains(&format!(".SH \"WCGI {}\"", name.to_uppercase())), "no {name} in {page}");
    }
}
