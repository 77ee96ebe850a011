//! In the process: `crates/tower-wcgi/benches/call.rs`, by criterion.

use anyhow::{Context as _, Result, ensure};

use super::findings::Findings;
use super::setting::Setting;
use crate::program;

/// Each round is a run of its own, so that what the machine does besides falls on all of them alike.
pub(crate) fn run(setting: &Setting<'_>, findings: &mut Findings) -> Result<()> {
    for round in 0..setting.rounds {
        println!("  round {} of {}", round + 1, setting.rounds);
        let mut bench = setting.criterion();
        bench.args(["--", "--output-format", "bencher", "--noplot", "--sample-size", "20", "--warm-up-time", "1"]);
        let output = program::capture(bench.args(["--measurement-time", &setting.duration.as_secs().to_string()]))?;
        let before = findings.calls.len();
        for (name, nanoseconds) in output.lines().filter_map(result) {
            findings.calls.entry(name.to_owned()).or_default().push(nanoseconds);
        }
        ensure!(round > 0 || findings.calls.len() > before, "criterion gave no figures:\n{output}");
    }
    findings.calls.keys().next().map(drop).context("there is no figure")
}

/// `test hello/call/1 ... bench:       38123 ns/iter (+/- 500)`
fn result(line: &str) -> Option<(&str, f64)> {
    let (name, figures) = line.strip_prefix("test ")?.split_once(" ... bench:")?;
    let nanoseconds = figures.split_once("ns/iter")?.0.trim().replace(',', "");
    Some((name.trim(), nanoseconds.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criterions_lines_are_read_and_others_are_not() {
        let line = "test hello/call/1 ... bench:       38,123 ns/iter (+/- 500)";
        assert_eq!(result(line), Some(("hello/call/1", 38123.0)));
        assert_eq!(result("Benchmarking hello/call/1"), None);
        assert_eq!(result("test hello/call/1 ... bench: ns/iter"), None);
    }
}
