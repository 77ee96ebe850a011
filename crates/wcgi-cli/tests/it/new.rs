//! `wcgi new`: what it writes, and what it leaves alone.

use std::fs;
use std::path::Path;

use crate::process::{output, text};

/// The languages that `wcgi new --list` lists.
fn languages() -> Vec<String> {
    let list = output(&["new", "--list"]);
    assert!(list.status.success());
    text(&list.stdout).lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// Every file below `directory` and what is in it, in order.
fn files(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let contents = fs::read(&path).unwrap();
            found.push((path.to_str().unwrap().to_owned(), String::from_utf8_lossy(&contents).into_owned()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_package_of_every_language_has_a_manifest_and_its_own_name_everywhere() {
    let languages = languages();
    assert!(!languages.is_empty());
    let directory = tempfile::tempdir().unwrap();
    for language in languages {
        let package = directory.path().join(format!("my-{language}"));
        let created = output(&["new", "--template", &language, package.to_str().unwrap()]);
        assert!(created.status.success(), "{}", text(&created.stderr));
        assert!(text(&created.stdout).contains("wcgi run"), "{}", text(&created.stdout));
        let manifest = fs::read_to_string(package.join("wasmer.toml")).unwrap();
        assert!(manifest.contains(&format!("my-{language}")), "{manifest}");
        assert!(package.join("README.md").exists());
        for (file, contents) in files(&package) {
            assert!(!contents.contains("{{name}}") && !file.ends_with(".template"), "{file}");
        }
    }
}

#[test]
fn nothing_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let package = directory.path().join("mine");
    fs::create_dir(&package).unwrap();
    fs::write(package.join("wasmer.toml"), "mine").unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "mine").unwrap();
    for path in [package, file, directory.path().join("missing/child"), directory.path().join("No-Name")] {
        let before = files(directory.path());
        let refused = output(&["new", "-t", "c", path.to_str().unwrap()]);
        let stderr = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("error: ") && refused.stdout.is_empty(), "{stderr}");
        assert_eq!(files(directory.path()), before);
    }
}

#[test]
fn an_unknown_language_is_wrong_usage_and_lists_the_known() {
    for arguments in [&["new", "--template", "cobol", "x"][..], &["new", "x"], &["new", "--template", "c"], &["new"]] {
        let refused = output(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(!Path::new("x").exists());
    }
    let refused = output(&["new", "--template", "cobol", "x"]);
    assert!(text(&refused.stderr).contains("go"), "{}", text(&refused.stderr));
}
