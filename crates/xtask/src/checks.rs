//! The checks a change passes, in the order in which they run: the table is `STEPS`.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::fetch::Unavailable;
use crate::manifests;
use crate::program::run as run_program;
use crate::prose;
use crate::runtimes;
use crate::templates;
use crate::tools::{DENY, FUZZ, HACK, NEXTEST};
use crate::workspace::Workspace;

/// One check.
struct Step {
    name: &'static str,
    /// Whether `--quick` runs it.
    quick: bool,
    check: fn(&Workspace) -> Result<Outcome>,
}

/// What became of a check that did not fail.
enum Outcome {
    Passed,
    /// The check is not possible here, and the change is not to blame.
    Warned(String),
}

const STEPS: [Step; 17] = [
    Step { name: "format", quick: true, check: format },
    Step { name: "lints", quick: true, check: lints },
    Step { name: "spelling", quick: true, check: spelling },
    Step { name: "sentences", quick: true, check: sentences },
    Step { name: "runtimes", quick: true, check: runtimes },
    Step { name: "tests", quick: true, check: tests },
    Step { name: "templates", quick: false, check: templates },
    Step { name: "manifests for Kubernetes", quick: false, check: kubernetes },
    Step { name: "doc tests", quick: false, check: doc_tests },
    Step { name: "docs", quick: false, check: docs },
    Step { name: "licences, bans, sources", quick: false, check: licences },
    Step { name: "advisories", quick: false, check: advisories },
    Step { name: "each feature", quick: false, check: each_feature },
    Step { name: "fuzzing, some seconds", quick: false, check: fuzz },
    Step { name: "book-keeping, Miri", quick: false, check: miri },
    Step { name: "memory, AddressSanitizer", quick: false, check: sanitizer },
    Step { name: "benches, once", quick: false, check: benches },
];

/// Runs the steps, prints the result of each, and fails if one failed.
pub(crate) fn run(workspace: &Workspace, quick: bool, keep_going: bool) -> Result<()> {
    let steps: Vec<_> = STEPS.iter().filter(|step| step.quick || !quick).collect();
    let mut report = Vec::new();
    let mut failed = 0;
    for step in &steps {
        println!("\n== {}", step.name);
        let begin = Instant::now();
        let result = (step.check)(workspace);
        let took = begin.elapsed();
        let result = match result {
            Ok(Outcome::Passed) => "passed".to_owned(),
            Ok(Outcome::Warned(why)) => format!("warning: {why}"),
            Err(error) => {
                failed += 1;
                format!("FAILED: {error:#}")
            }
        };
        println!("== {}: {result}, {}", step.name, seconds(took));
        report.push((step.name, took, result));
        if failed > 0 && !keep_going {
            break;
        }
    }

    println!("\n== summary");
    for (name, took, result) in &report {
        println!("{name:<24} {:>9}  {result}", seconds(*took));
    }
    let left_out = steps.len() - report.len();
    if left_out > 0 {
        println!("{left_out} more were not run; --keep-going runs them");
    }
    if failed > 0 {
        bail!("{failed} of {} checks failed", steps.len());
    }
    Ok(())
}

fn format(workspace: &Workspace) -> Result<Outcome> {
    for manifest in manifests() {
        run_cargo(workspace, ["fmt", "--all", "--check", "--manifest-path", manifest])?;
    }
    Ok(Outcome::Passed)
}

fn lints(workspace: &Workspace) -> Result<Outcome> {
    let all = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    run_cargo(workspace, all)?;
    let mut tool = cargo(workspace, ["clippy", "--locked", "--manifest-path"]);
    tool.arg(workspace.componentize().join("Cargo.toml")).args(["--", "-D", "warnings"]);
    run_program(tool.env("CARGO_TARGET_DIR", workspace.componentize_target()))?;
    Ok(Outcome::Passed)
}

fn spelling(workspace: &Workspace) -> Result<Outcome> {
    of_our_files(workspace, prose::spelling)
}

fn sentences(workspace: &Workspace) -> Result<Outcome> {
    of_our_files(workspace, prose::sentences)
}

/// Checks the files that git knows. An archive of the sources has no git: that is no fault of the change.
fn of_our_files(workspace: &Workspace, check: fn(&Workspace, &[String]) -> Result<()>) -> Result<Outcome> {
    let Ok(files) = prose::files(workspace) else {
        return Ok(Outcome::Warned("git does not list the files".to_owned()));
    };
    check(workspace, &files)?;
    Ok(Outcome::Passed)
}

/// Examples depend on them, and so do tests of the program.
fn runtimes(workspace: &Workspace) -> Result<Outcome> {
    runtimes::provide(workspace)?;
    Ok(Outcome::Passed)
}

fn tests(workspace: &Workspace) -> Result<Outcome> {
    if let Err(error) = NEXTEST.ensure() {
        println!("{error:#}; `cargo test` takes its place");
        return run_cargo(workspace, ["test", "--workspace", "--all-features", "--all-targets"]);
    }
    run_cargo(workspace, ["nextest", "run", "--workspace", "--all-features"])
}

fn templates(workspace: &Workspace) -> Result<Outcome> {
    templates::test(workspace, &[])?;
    Ok(Outcome::Passed)
}

fn kubernetes(workspace: &Workspace) -> Result<Outcome> {
    match manifests::check(workspace) {
        Err(error) if error.is::<Unavailable>() => Ok(Outcome::Warned(format!("{error:#}"))),
        checked => checked.map(|()| Outcome::Passed),
    }
}

fn doc_tests(workspace: &Workspace) -> Result<Outcome> {
    run_cargo(workspace, ["test", "--workspace", "--all-features", "--doc"])
}

fn docs(workspace: &Workspace) -> Result<Outcome> {
    // With --examples the dependencies have the features that the lints have checked them with.
    let mut doc =
        cargo(workspace, ["doc", "--workspace", "--all-features", "--no-deps", "--lib", "--bins", "--examples"]);
    run_program(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Passed)
}

fn licences(workspace: &Workspace) -> Result<Outcome> {
    DENY.ensure()?;
    for manifest in manifests() {
        let ask = ["--manifest-path", manifest, "--all-features", "check", "licenses", "bans", "sources"];
        run_program(cargo(workspace, ["deny"]).args(ask))?;
    }
    Ok(Outcome::Passed)
}

/// The database of advisories comes from outside. Without it the check passes, with a warning.
fn advisories(workspace: &Workspace) -> Result<Outcome> {
    DENY.ensure()?;
    if run_program(&mut cargo(workspace, ["deny", "fetch", "db"])).is_err() {
        return Ok(Outcome::Warned("the database of advisories cannot be had".to_owned()));
    }
    run_cargo(workspace, ["deny", "--all-features", "check", "--disable-fetch", "advisories"])
}

fn each_feature(workspace: &Workspace) -> Result<Outcome> {
    HACK.ensure()?;
    // The lints have checked the default features and all of them.
    let each = ["--each-feature", "--exclude-features", "default", "--exclude-all-features"];
    run_program(cargo(workspace, ["hack", "check", "--package", "tower-wcgi"]).args(each))?;
    Ok(Outcome::Passed)
}

/// Enough to find a fresh mistake. Needs the nightly toolchain. Without it the check passes, with a warning.
fn fuzz(workspace: &Workspace) -> Result<Outcome> {
    if !has_nightly(&[]) {
        return Ok(Outcome::Warned("there is no nightly toolchain".to_owned()));
    }
    FUZZ.ensure()?;
    let library = workspace.root().join("crates/tower-wcgi");
    let cargo_fuzz = |arguments: &[&str]| {
        let mut run = Command::new("cargo");
        run.current_dir(&library).args(["+nightly", "fuzz"]).args(arguments);
        run
    };
    // All at once, then one after the other.
    run_program(&mut cargo_fuzz(&["build"]))?;
    for target in fs::read_dir(library.join("fuzz/fuzz_targets"))? {
        let target = target?.path();
        let Some(name) = target.file_stem().and_then(OsStr::to_str) else { continue };
        run_program(&mut cargo_fuzz(&["run", name, "--", "-max_total_time=5"]))?;
    }
    Ok(Outcome::Passed)
}

/// The layout of a memory: plain numbers, which Miri can run. Miri knows no mappings.
fn miri(workspace: &Workspace) -> Result<Outcome> {
    if !has_nightly(&["miri", "rust-src"]) {
        return Ok(Outcome::Warned("there is no nightly toolchain with Miri".to_owned()));
    }
    let mut test = cargo(workspace, ["+nightly", "miri", "test", "--package", "wcgi-memory", "--lib", "layout"]);
    // One test has a large memory, for which Miri takes minutes. proptest's usual number of cases would take minutes too.
    test.args(["--", "--skip", "there_are_never_more_spans"]);
    test.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "4");
    run_program(&mut test)?;
    Ok(Outcome::Passed)
}

/// The mappings themselves. A named target keeps build scripts and macros unsanitized.
fn sanitizer(workspace: &Workspace) -> Result<Outcome> {
    if !has_nightly(&[]) {
        return Ok(Outcome::Warned("there is no nightly toolchain".to_owned()));
    }
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut test = cargo(workspace, ["+nightly", "test", "--package", "wcgi-memory", "--target", &target]);
    test.env("RUSTFLAGS", "-Zsanitizer=address").env("CARGO_TARGET_DIR", workspace.sanitized());
    run_program(&mut test)?;
    Ok(Outcome::Passed)
}

/// Whether there is a nightly toolchain with these components. Installs them if possible.
fn has_nightly(components: &[&str]) -> bool {
    let has = || Command::new("cargo").args(["+nightly", "--version"]).output().is_ok_and(|out| out.status.success());
    let mut rustup = Command::new("rustup");
    rustup.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
    let mut add = Command::new("rustup");
    add.args(["component", "add", "--toolchain", "nightly"]).args(components);
    (has() || run_program(&mut rustup).is_ok()) && (components.is_empty() || run_program(&mut add).is_ok())
}

/// Whether the benches run at all, not how fast. The profile of the tests spares another build.
fn benches(workspace: &Workspace) -> Result<Outcome> {
    let has_benches = |krate: fs::DirEntry| krate.path().join("benches").is_dir();
    if !fs::read_dir(workspace.root().join("crates"))?.flatten().any(has_benches) {
        return Ok(Outcome::Warned("there are none".to_owned()));
    }
    run_cargo(workspace, ["bench", "--workspace", "--all-features", "--bench", "*", "--profile", "dev", "--", "--test"])
}

/// The workspace, and the packages that are not its members because they are built for another target.
fn manifests() -> impl Iterator<Item = &'static str> {
    ["Cargo.toml"].into_iter().chain(ALONE)
}

fn run_cargo<const N: usize>(workspace: &Workspace, arguments: [&str; N]) -> Result<Outcome> {
    run_program(&mut cargo(workspace, arguments))?;
    Ok(Outcome::Passed)
}

fn cargo(workspace: &Workspace, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(workspace.root()).args(arguments);
    command
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

const ALONE: [&str; 6] = [
    "crates/tower-wcgi/fuzz/Cargo.toml",
    "crates/xtask/componentize/Cargo.toml",
    "examples/guestbook/rust/Cargo.toml",
    "examples/guestbook/rust-axum/Cargo.toml",
    "tests/guests/rust/Cargo.toml",
    "tests/guests/wasip2/Cargo.toml",
];
