//! `cargo xtask bench soak`: requests to a small script and to PHP at once, as many as were asked for, and whether the
//! server has as much memory, as many open files and threads afterwards as before.

use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use super::client::{self, Client, Url};
use super::figures::Series;
use super::load::Load;
use super::memory::available_permits;
use super::process::{Server, Usage};
use super::setting::Setting;
use super::{machine, report};
use crate::workspace::Workspace;

#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Options {
    /// Requests to the hello in C.
    #[arg(long, default_value_t = 1_000_000.0)]
    hello: f64,
    /// Requests to the PHP example.
    #[arg(long, default_value_t = 50_000.0)]
    php: f64,
}

/// What the server used when so many requests were answered and none ran.
struct Sample {
    hello: f64,
    php: f64,
    usage: Usage,
}

pub(crate) fn run(workspace: &Workspace, options: Options) -> Result<()> {
    let setting = Setting::prepare(workspace, false, false)?;
    let facts = machine::describe(&setting);
    let php = setting.php().context("php-cgi is not there; `cargo xtask setup` fetches it")?;
    let server = setting.serve("bench-server (soak)", &[], &[("/c", &setting.guest("hello")), ("/php", &php)])?;
    let url = |path| Url { address: server.address, path };
    client::check(url("/c"), "Hello, World!")?;
    client::check(url("/php"), "Hello, World!")?;

    let (mut hello, mut php) = (0.0, 0.0);
    let mut samples = Vec::new();
    while hello < options.hello || php < options.php {
        let wanted = [(url("/c"), hello < options.hello), (url("/php"), php < options.php)];
        let [to_hello, to_php] = both(&setting, wanted)?;
        hello += to_hello.map_or(0.0, |load| load.requests);
        php += to_php.map_or(0.0, |load| load.requests);
        let usage = at_rest(&server)?;
        println!(
            "  {hello} to hello, {php} to PHP: {:.1} MiB, {} files, {} threads",
            usage.resident as f64 / MIB,
            usage.files,
            usage.threads
        );
        samples.push(Sample { hello, php, usage });
    }
    let verdict = verdict(&samples);
    let path = report::write(&setting, "soak.md", &table(&facts, &samples, &verdict)?)?;
    println!("The report is in {path}.");
    verdict.map_err(|error| anyhow!(error)).map(|said| println!("{said}"))
}

/// Loads those that have not had enough, at the same time.
fn both(setting: &Setting<'_>, wanted: [(Url<'_>, bool); 2]) -> Result<[Option<Load>; 2]> {
    let load = |(url, more): (Url<'_>, bool)| more.then(|| setting.wrk.run(url, CONNECTIONS, SLICE)).transpose();
    let [hello, php] = wanted;
    thread::scope(|scope| {
        let hello = scope.spawn(move || load(hello));
        let php = load(php)?;
        Ok([hello.join().map_err(|_| anyhow!("a thread panicked"))??, php])
    })
}

/// When every permit is back and nothing computes.
fn at_rest(server: &Server) -> Result<Usage> {
    server.wait_until_quiet()?;
    let mut client = Client::connect(server.address)?;
    let permits = available_permits(&mut client)?;
    if permits != PERMITS {
        bail!("{permits} of {PERMITS} permits came back");
    }
    drop(client);
    server.wait_until_quiet()?;
    server.usage()
}

/// The first third fills pools and caches; from there on it must not grow. `Err` says what did.
fn verdict(samples: &[Sample]) -> Result<String, String> {
    let third = samples.len() / 3;
    if third < 2 {
        return Err("too few samples to judge".to_owned());
    }
    let (middle, end) =
        (samples.get(third..2 * third).unwrap_or_default(), samples.get(2 * third..).unwrap_or_default());
    let median = |samples: &[Sample], of: fn(&Usage) -> f64| {
        samples.iter().map(|sample| of(&sample.usage)).collect::<Series>().median()
    };
    let memory = |usage: &Usage| usage.resident as f64 / MIB;
    let before = (
        median(middle, memory),
        median(middle, |usage| usage.files as f64),
        median(middle, |usage| usage.threads as f64),
    );
    let after =
        (median(end, memory), median(end, |usage| usage.files as f64), median(end, |usage| usage.threads as f64));
    let said = format!(
        "from the second to the last third: memory {:.1} → {:.1} MiB, open files {} → {}, threads {} → {}",
        before.0, after.0, before.1, after.1, before.2, after.2
    );
    let flat = after.0 <= before.0 * 1.05 + 1.0 && after.1 <= before.1 && after.2 <= before.2;
    if flat { Ok(format!("flat, {said}")) } else { Err(format!("not flat, {said}")) }
}

fn table(facts: &[(&str, String)], samples: &[Sample], verdict: &Result<String, String>) -> Result<String> {
    let mut text = "# A run of `cargo xtask bench soak`\n\n".to_owned();
    for (name, value) in facts {
        writeln!(text, "- {name}: {value}")?;
    }
    let (Ok(verdict) | Err(verdict)) = verdict;
    writeln!(text, "\nEvery request was answered with success. The server is {verdict}.\n")?;
    text.push_str("| to hello | to PHP | resident MiB | open files | threads |\n|---|---|---|---|---|\n");
    for Sample { hello, php, usage } in samples {
        let resident = usage.resident as f64 / MIB;
        writeln!(text, "| {hello} | {php} | {resident:.1} | {} | {} |", usage.files, usage.threads)?;
    }
    Ok(text)
}

const CONNECTIONS: usize = 8;
const SLICE: Duration = Duration::from_secs(10);
/// The library's default.
const PERMITS: f64 = 128.0;
const MIB: f64 = (1 << 20) as f64;
