//! `cargo xtask bench soak`: requests to a small script and to PHP at once, as many as wanted. Checks whether the
//! server has as much memory, and as many open files and threads, afterwards as before.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::client::{self, Client, Url};
use super::figures::Series;
use super::load::Load;
use super::process::{Server, Usage};
use super::setting::Setting;
use super::status::wait_for_permits;
use super::{faults, machine, paging, report};
use crate::workspace::Workspace;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Requests to the hello in C.
    #[arg(long, default_value_t = 1_000_000.0)]
    hello: f64,
    /// Requests to the PHP example.
    #[arg(long, default_value_t = 50_000.0)]
    php: f64,
    /// Instead: short of descriptors, addresses and disk at once, with a kill every few seconds.
    #[arg(long, group = "other", conflicts_with_all = ["hello", "php"])]
    faults: bool,
    /// How long the faults go on.
    #[arg(long, default_value_t = 10.0, requires = "faults")]
    minutes: f64,
    /// Instead: guests that look for what earlier ones have left, while the server's pages are pushed out and moved.
    #[arg(long, group = "other", conflicts_with_all = ["hello", "php"])]
    paging: bool,
    /// Requests beside paging.
    #[arg(long, default_value_t = 1_000_000, requires = "paging")]
    requests: u64,
    /// The `wcgi` that has to bear faults or paging, with `bench-server` beside it; built otherwise.
    #[arg(long, value_name = "FILE", requires = "other")]
    program: Option<PathBuf>,
}

impl Options {
    pub(crate) fn has_program(&self) -> bool {
        self.program.is_some()
    }
}

/// What is counted, and by how much it may differ.
type Count = (&'static str, fn(&Usage) -> f64, f64);

/// What the server used when so many requests were answered and none ran.
struct Sample {
    hello: f64,
    php: f64,
    usage: Usage,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let unusual = |program: &Path| {
        if options.paging {
            paging::run(workspace, program, options.requests)
        } else {
            faults::run(workspace, program, options.minutes)
        }
    };
    if let Some(program) = &options.program {
        return unusual(program);
    }
    let setting = Setting::prepare(workspace, false, false)?;
    if options.faults || options.paging {
        return unusual(setting.wcgi().get_program().as_ref());
    }
    let facts = machine::describe(&setting);
    let php = setting.php().context("php-cgi is not there; `cargo xtask setup` fetches it")?;
    let server = setting.serve("bench-server (soak)", &[], &[("/c", &setting.guest("hello")), ("/php", &php)])?;
    let url = |path| Url { address: server.address, path };
    client::check(url("/c"), "Hello, World!")?;
    client::check(url("/php"), "Hello, World!")?;

    let mut samples = Vec::new();
    let verdict = match load(&setting, options, &server, &mut samples) {
        Ok(()) => verdict(&samples),
        Err(error) => Err(format!("stopped: {error:#}")),
    };
    let path = report::write(&setting, "soak.md", &table(&facts, &samples, &verdict)?)?;
    println!("The report is in {path}.");
    verdict.map_err(|error| anyhow!(error)).map(|said| println!("{said}"))
}

/// Goes on until both have had what was asked for.
fn load(setting: &Setting<'_>, options: &Options, server: &Server, samples: &mut Vec<Sample>) -> Result<()> {
    let url = |path| Url { address: server.address, path };
    let (mut hello, mut php) = (0.0, 0.0);
    while hello < options.hello || php < options.php {
        let [to_hello, to_php] = both(setting, [url("/c"), url("/php")])?;
        hello += to_hello.requests;
        php += to_php.requests;
        let usage = at_rest(server)?;
        println!(
            "  {hello} to hello, {php} to PHP: {:.1} MiB, {} files, {} threads",
            usage.resident as f64 / MIB,
            usage.files,
            usage.threads
        );
        samples.push(Sample { hello, php, usage });
    }
    Ok(())
}

/// Loads both at the same time.
fn both(setting: &Setting<'_>, [hello, php]: [Url<'_>; 2]) -> Result<[Load; 2]> {
    thread::scope(|scope| {
        let hello = scope.spawn(move || setting.wrk.run(hello, CONNECTIONS, SLICE));
        let php = setting.wrk.run(php, CONNECTIONS, SLICE)?;
        Ok([hello.join().map_err(|_| anyhow!("a thread panicked"))??, php])
    })
}

/// When every permit is back and nothing computes.
fn at_rest(server: &Server) -> Result<Usage> {
    let mut client = Client::connect(server.address)?;
    wait_for_permits(&mut client, PERMITS)?;
    drop(client);
    server.wait_until_quiet(PATIENCE)?;
    server.usage()
}

/// The first third fills pools and caches; from there on it must not grow. `Err` says what did.
fn verdict(samples: &[Sample]) -> Result<String, String> {
    let third = samples.len() / 3;
    if third < 2 {
        return Err("too few samples to judge by".to_owned());
    }
    let (middle, end) =
        (samples.get(third..2 * third).unwrap_or_default(), samples.get(2 * third..).unwrap_or_default());
    let mut said = Vec::new();
    let mut flat = true;
    let counts: [Count; 3] = [
        ("resident MiB", |usage| usage.resident as f64 / MIB, 1.0),
        ("open files", |usage| usage.files as f64, 0.0),
        // Threads for blocking calls come and go.
        ("threads", |usage| usage.threads as f64, 2.0),
    ];
    for (what, of, slack) in counts {
        let median = |samples: &[Sample]| samples.iter().map(|sample| of(&sample.usage)).collect::<Series>().median();
        let (before, after) = (median(middle), median(end));
        flat &= after <= before * 1.02 + slack;
        said.push(format!("{what} {before:.1} → {after:.1}"));
    }
    let said = format!("from the second to the last third: {}", said.join(", "));
    if flat { Ok(format!("flat, {said}")) } else { Err(format!("not flat, {said}")) }
}

fn table(facts: &[(&str, String)], samples: &[Sample], verdict: &Result<String, String>) -> Result<String> {
    let mut text = "# A run of `cargo xtask bench soak`\n\n".to_owned();
    for (name, value) in facts {
        writeln!(text, "- {name}: {value}")?;
    }
    let (Ok(verdict) | Err(verdict)) = verdict;
    writeln!(text, "\nVerdict: {verdict}. A request that is not answered with success ends the run.\n")?;
    text.push_str("| to hello | to PHP | resident MiB | open files | threads |\n|---|---|---|---|---|\n");
    for Sample { hello, php, usage } in samples {
        let resident = usage.resident as f64 / MIB;
        writeln!(text, "| {hello} | {php} | {resident:.1} | {} | {} |", usage.files, usage.threads)?;
    }
    Ok(text)
}

const CONNECTIONS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(60);
const SLICE: Duration = Duration::from_secs(3);
/// The library's default.
const PERMITS: f64 = 128.0;
const MIB: f64 = (1 << 20) as f64;

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(resident: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |n| Sample {
            hello: 0.0,
            php: 0.0,
            usage: Usage { resident: resident(n) << 20, files: 40, threads: 7 + n % 2, ..Usage::default() },
        };
        (0..30).map(sample).collect()
    }

    #[test]
    fn what_grows_at_first_is_flat_and_what_grows_on_is_not() {
        assert!(verdict(&samples(|n| 50 + n.min(8))).is_ok());
        let leak = verdict(&samples(|n| 50 + n)).unwrap_err();
        assert!(leak.starts_with("not flat") && leak.contains("resident MiB 64.5 → 74.5"), "{leak}");
        assert!(verdict(&samples(|_| 50)[..5]).is_err());
    }
}
