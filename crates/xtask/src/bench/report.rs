//! The report: what was measured as tables in Markdown, printed and written beside the plot.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};

use super::findings::Findings;
use super::setting::Setting;
use super::targets::TARGETS;
use super::{machine, plot};

/// Prints the report, and writes it with its plot.
pub(crate) fn publish(setting: &Setting<'_>, facts: &[(&str, String)], findings: &Findings) -> Result<()> {
    let tables = tables(setting, findings)?;
    let mut report = "# A run of `cargo xtask bench`\n\n".to_owned();
    for (name, value) in facts {
        writeln!(report, "- {name}: {value}")?;
    }
    writeln!(report, "- load after the run: {}", machine::load())?;
    if !findings.http.is_empty() {
        write(setting, "report.svg", &plot::bars(findings)?)?;
        report.push_str("\n![Requests a second](report.svg)\n");
    }
    report.push_str(&tables);
    let path = write(setting, "report.md", &report)?;
    println!("{tables}\nThe report is in {path}.");
    Ok(())
}

/// Writes a file to `target/bench` and says where it is.
pub(crate) fn write(setting: &Setting<'_>, name: &str, text: &str) -> Result<String> {
    let path = setting.directory.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(setting.workspace.relative(&path).to_string())
}

fn tables(setting: &Setting<'_>, findings: &Findings) -> Result<String> {
    let mut text = "\n## Targets\n\n| | target | measured | |\n|---|---|---|---|\n".to_owned();
    for target in &TARGETS {
        let (measured, verdict) = match target.judge(findings, setting.cores) {
            Some((measured, true)) => (measured, "met"),
            Some((measured, false)) => (measured, "**not met**"),
            None => (String::new(), "not measured"),
        };
        writeln!(text, "| {} | {} | {measured} | {verdict} |", target.what, target.bound())?;
    }
    text.push_str(
        "\nMedians of the rounds; ± is the distance between the least and the most, as a part of the median.\n",
    );
    http(&mut text, findings)?;
    in_process(&mut text, findings)?;
    streams(&mut text, findings)?;
    if !findings.single.is_empty() {
        text.push_str("\n## Time to start, memory, native routes beside busy guests\n\n| | | ± |\n|---|---|---|\n");
        for single in &findings.single {
            let (values, unit) = (&single.values, single.unit);
            writeln!(text, "| {} | {:.2} {unit} | {:.0} % |", single.what, values.median(), values.spread() * 100.0)?;
        }
    }
    if !findings.notes.is_empty() {
        text.push_str("\n## Not measured, or not as it should be\n\n");
        for (what, why) in &findings.notes {
            // A reason may be several lines of some program's output.
            writeln!(text, "- {what}: {}", why.split_whitespace().collect::<Vec<_>>().join(" "))?;
        }
    }
    Ok(text)
}

fn http(text: &mut String, findings: &Findings) -> Result<()> {
    if !findings.http.is_empty() {
        text.push_str(
            "\n## Over HTTP, by wrk\n\n\
             | | connections | requests/s | ± | p50 ms | p99 ms | max ms | CPU s per 1000 | peak resident MiB | proportional |\n\
             |---|---|---|---|---|---|---|---|---|---|\n",
        );
    }
    for row in &findings.http {
        writeln!(
            text,
            "| {} | {} | {:.0} | {:.0} % | {:.2} | {:.2} | {:.1} | {:.3} | {:.0} | {:.0} |",
            row.contender,
            row.connections,
            row.rate.median(),
            row.rate.spread() * 100.0,
            row.p50.median() * 1000.0,
            row.p99.median() * 1000.0,
            row.max.max() * 1000.0,
            row.processor.median(),
            row.resident.max() / MIB,
            row.proportional.max() / MIB,
        )?;
    }
    if !findings.bytes.is_empty() {
        text.push_str(
            "\n## First and last byte, one connection, one request after the other\n\n\
             | | first byte p50 µs | p99 | last byte p50 µs | p99 | max |\n|---|---|---|---|---|---|\n",
        );
    }
    for bytes in &findings.bytes {
        let micros = |seconds: f64| seconds * 1e6;
        writeln!(
            text,
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
            bytes.contender,
            micros(bytes.first.median()),
            micros(bytes.first.quantile(0.99)),
            micros(bytes.last.median()),
            micros(bytes.last.quantile(0.99)),
            micros(bytes.last.max()),
        )?;
    }
    Ok(())
}

fn in_process(text: &mut String, findings: &Findings) -> Result<()> {
    if !findings.calls.is_empty() {
        text.push_str("\n## In the process, by criterion\n\n| guest/subject/threads | µs a run | ± |\n|---|---|---|\n");
    }
    for (name, series) in &findings.calls {
        writeln!(text, "| {name} | {:.2} | {:.0} % |", series.median() / 1000.0, series.spread() * 100.0)?;
    }
    Ok(())
}

fn streams(text: &mut String, findings: &Findings) -> Result<()> {
    if !findings.streams.is_empty() {
        text.push_str("\n## Long bodies\n\n| | MiB/s | ± | memory grown by at most, MiB |\n|---|---|---|---|\n");
    }
    for stream in &findings.streams {
        let (rate, spread) = (stream.rate.median() / MIB, stream.rate.spread() * 100.0);
        writeln!(text, "| {} | {rate:.0} | {spread:.0} % | {:.1} |", stream.name, stream.growth.max() / MIB)?;
    }
    Ok(())
}

const MIB: f64 = (1 << 20) as f64;
