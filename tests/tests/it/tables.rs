//! Every row of `CASES.md` names a test, and each test that it names is there.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

#[test]
fn every_row_of_cases_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut words = HashSet::new();
    for directory in ["crates", "tests"] {
        words_of(&root.join(directory), &mut words);
    }
    let table = fs::read_to_string(root.join("tests/CASES.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.ends_with("| here |"));
    let mut missing = Vec::new();
    for row in rows {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        if cell.trim_matches(['|', ' ']).is_empty() {
            missing.push(format!("no test: {row}"));
        }
        let names = cell.split('`').skip(1).step_by(2).filter(|name| name.contains("::"));
        for name in names {
            // The last part that is a name: `gateway::…` and `cut_off::*` mean all of a module.
            let word = name.split("::").filter(|part| !["*", "…"].contains(part)).last();
            if !word.is_some_and(|word| words.contains(word)) {
                missing.push(format!("not there: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Collects the names of tests and modules: whatever the Rust files in `directory` and below have for words, and the names
/// of these files.
fn words_of(directory: &Path, words: &mut HashSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" {
                words.insert(name);
                words_of(&path, words);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tables" {
            words.insert(name);
            let text = fs::read_to_string(&path).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                words.extend(line.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned));
            }
        }
    }
}
