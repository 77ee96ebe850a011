//! Checks of what is written for people: spelling, and the length of sentences. `docs/STYLE.md` says how to argue with them.

mod sentences;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use self::sentences::Sentence;
use crate::fetch;
use crate::program;
use crate::workspace::Workspace;

/// Installs the spelling checker.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    fetch::pip(workspace, "codespell", 1).map(drop)
}

/// The files that git knows or would add, relative to the root.
///
/// # Errors
///
/// If git is missing, or this is no clone.
pub(crate) fn files(workspace: &Workspace) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(workspace.root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let list = program::capture(&mut git)?;
    let is_there = |file: &&str| workspace.root().join(file).is_file();
    Ok(list.split_terminator('\0').filter(is_there).map(str::to_owned).collect())
}

/// Fails on words that are usually misspelt. `docs/spelling.txt` has those that are meant.
pub(crate) fn spelling(workspace: &Workspace, files: &[String]) -> Result<()> {
    let codespell = fetch::pip(workspace, "codespell", 1)?;
    let mut check = Command::new(if cfg!(windows) { "python" } else { "python3" });
    check.current_dir(workspace.root()).env("PYTHONPATH", codespell);
    check.args(["-m", "codespell_lib", "--ignore-words", SPELLING]);
    program::run(check.args(files.iter().filter(|file| is_ours(file)))).context("spelling mistakes; see docs/STYLE.md")
}

/// Fails on sentences that are too long, but for those of the allow list. Says how many are longer than advised.
pub(crate) fn sentences(workspace: &Workspace, files: &[String]) -> Result<()> {
    let text = fs::read_to_string(workspace.root().join(ALLOWED)).with_context(|| format!("cannot read {ALLOWED}"))?;
    let allowed = Allowed::parse(&text)?;
    let mut used = BTreeSet::new();
    let (mut all, mut long, mut too_long) = (0, 0, 0);
    for file in files {
        let Some(sentences) = read(workspace.root(), file)? else { continue };
        all += sentences.len();
        for sentence in sentences {
            long += usize::from(sentence.words > ADVISED);
            if let Some(at) = allowed.find(file, &sentence) {
                used.insert(at);
            } else if sentence.words > MOST {
                too_long += 1;
                println!("{file}:{}: {} words: {}", sentence.line, sentence.words, beginning(&sentence.text));
            }
        }
    }
    println!("{all} sentences, {long} longer than the advised {ADVISED} words");
    let unused = allowed.0.iter().enumerate().filter(|(at, _)| !used.contains(at));
    let unused: Vec<_> = unused.map(|(_, entry)| entry.begins).collect();
    if too_long > 0 {
        bail!(
            "{too_long} sentences have more than {MOST} words; split them, or say why not in {ALLOWED} (docs/STYLE.md)"
        );
    }
    if !unused.is_empty() {
        bail!("{ALLOWED} allows sentences that are not there, or short enough: {}", unused.join("; "));
    }
    Ok(())
}

/// The sentences of a file, if it is a text with some.
fn read(root: &Path, file: &str) -> Result<Option<Vec<Sentence>>> {
    let of: fn(&str) -> Vec<Sentence> = match Path::new(file).extension().and_then(|extension| extension.to_str()) {
        Some("md") => sentences::of_markdown,
        Some("rs") => sentences::of_rust,
        _ => return Ok(None),
    };
    let text = fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))?;
    Ok(Some(of(&text)))
}

/// Sentences that may be too long.
#[derive(Debug)]
struct Allowed<'a>(Vec<Entry<'a>>);

#[derive(Debug)]
struct Entry<'a> {
    file: &'a str,
    begins: &'a str,
}

impl<'a> Allowed<'a> {
    /// A line has the file, how the sentence begins, and the reason, with ` | ` between them.
    fn parse(text: &'a str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let entry = |line: &'a str| match line.splitn(3, " | ").collect::<Vec<_>>()[..] {
            [file, begins, reason] if !begins.is_empty() && !reason.trim().is_empty() => Ok(Entry { file, begins }),
            _ => bail!("{ALLOWED}: expected `file | beginning of the sentence | reason`, found `{line}`"),
        };
        Ok(Self(lines.map(entry).collect::<Result<_>>()?))
    }

    fn find(&self, file: &str, sentence: &Sentence) -> Option<usize> {
        let is_meant = |entry: &Entry<'_>| entry.file == file && sentence.text.starts_with(entry.begins);
        (sentence.words > MOST).then(|| self.0.iter().position(is_meant)).flatten()
    }
}

/// Whether a file's text was written here: neither generated, nor a patch of another project's text, nor binary.
fn is_ours(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    let is_other = name.starts_with("LICENSE") || matches!(name, "Cargo.lock" | "package-lock.json");
    let is_wasm_or_patch =
        Path::new(name).extension().is_some_and(|extension| extension == "wasm" || extension == "patch");
    !is_other && !is_wasm_or_patch
}

fn beginning(text: &str) -> String {
    text.split(' ').take(12).collect::<Vec<_>>().join(" ")
}

/// What `docs/STYLE.md` advises.
const ADVISED: usize = 25;
/// What fails.
const MOST: usize = 30;
const ALLOWED: &str = "docs/long-sentences.txt";
const SPELLING: &str = "docs/spelling.txt";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_allow_list_has_a_reason() {
        let allowed = Allowed::parse("# why\n\na.md | It is | a quotation\n").unwrap();
        let sentence = |words| Sentence { line: 1, words, text: "It is long.".to_owned() };
        assert_eq!(allowed.find("a.md", &sentence(MOST + 1)), Some(0));
        assert_eq!(allowed.find("b.md", &sentence(MOST + 1)), None);
        assert_eq!(allowed.find("a.md", &sentence(MOST)), None, "it need not be allowed");
        for line in ["a.md | It is", "a.md | It is | ", "a.md |  | why"] {
            Allowed::parse(line).unwrap_err();
        }
    }

    #[test]
    fn a_long_sentence_fails_until_it_is_allowed() {
        let root = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(root.path());
        let files = ["a.md".to_owned()];
        fs::create_dir(root.path().join("docs")).unwrap();
        fs::write(root.path().join(ALLOWED), "").unwrap();
        fs::write(root.path().join("a.md"), "word ".repeat(MOST)).unwrap();
        sentences(&workspace, &files).unwrap();

        fs::write(root.path().join("a.md"), "word ".repeat(MOST + 1)).unwrap();
        sentences(&workspace, &files).unwrap_err();

        fs::write(root.path().join(ALLOWED), "a.md | word word | a test").unwrap();
        sentences(&workspace, &files).unwrap();
        fs::write(root.path().join("a.md"), "Short.").unwrap();
        sentences(&workspace, &files).unwrap_err();
    }

    #[test]
    fn only_our_own_texts_are_spelt_by_us() {
        for file in ["README.md", "crates/a/src/lib.rs", "guests/php/php.ini"] {
            assert!(is_ours(file), "{file}");
        }
        for file in ["Cargo.lock", "crates/a/Cargo.lock", "LICENSE-MIT", "a/b.wasm", "guests/php/patches/1.patch"] {
            assert!(!is_ours(file), "{file}");
        }
    }
}
