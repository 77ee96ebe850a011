//! `cargo xtask bench languages`: the guest book of each language, with some entries in it. Measures the module's size, the time
//! to compile and to start, and the cost of a request.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::client::{self, Client, Url};
use super::figures::Series;
use super::process::{Output, Server};
use super::setting::Setting;
use super::{machine, report};
use crate::guests::{self, Language};
use crate::workspace::Workspace;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Which languages: all when none is named.
    languages: Vec<String>,
}

/// What was measured of one.
struct Row<'l> {
    language: &'l Language,
    kilobytes: f64,
    /// From process start to the first byte, compiling, in milliseconds.
    first_start: f64,
    second_start: f64,
    /// One request after the other, in milliseconds to the last byte.
    request: Series,
    /// Requests a second from eight connections.
    rate: f64,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let setting = Setting::prepare(workspace, false, false)?;
    let wanted = |name: &&Language| options.languages.is_empty() || options.languages.iter().any(|of| of == name.name);
    let mut rows = Vec::new();
    for language in guests::LANGUAGES.iter().filter(wanted) {
        println!("== {}", language.name);
        rows.push(measure(&setting, language).with_context(|| format!("the guest book in {}", language.name))?);
    }
    let mut text = "# A run of `cargo xtask bench languages`\n\n".to_owned();
    for (name, value) in machine::describe(&setting) {
        writeln!(text, "- {name}: {value}")?;
    }
    let table = table(&rows)?;
    text.push_str(&table);
    println!("{table}\nThe report is in {}.", report::write(&setting, "languages.md", &text)?);
    Ok(())
}

fn measure<'l>(setting: &Setting<'_>, language: &'l Language) -> Result<Row<'l>> {
    let package = setting.workspace.examples().join("guestbook").join(language.name);
    let module = language.module(&package);
    let bytes = fs::metadata(&module).with_context(|| format!("cannot read {}", module.display()))?.len();
    let directory = setting.directory.join("languages").join(language.name);
    let _ = fs::remove_dir_all(&directory);
    let data = directory.join("data");
    fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
    if language.name == "php" {
        setting.add_php(&directory.join("cache"))?;
    }
    let start = || -> Result<(Server, f64)> {
        let mut wcgi = setting.wcgi();
        wcgi.args(["run", "--quiet", "--addr", "127.0.0.1:0", "--cache-dir"]).arg(directory.join("cache"));
        wcgi.arg("--mapdir").arg(format!("/data:{}", data.display())).arg(&package);
        let server = Server::start("wcgi", &mut wcgi, Output::Stderr)?;
        let connected = server.begin.elapsed();
        let reply = Client::connect(server.address)?.get("/")?;
        ensure!(reply.status == 200, "it answers {}", reply.status);
        let milliseconds = (connected + reply.first_byte).as_secs_f64() * 1000.0;
        Ok((server, milliseconds))
    };
    let (first, first_start) = start()?;
    drop(first);
    let (server, second_start) = start()?;
    let mut client = Client::connect(server.address)?;
    for n in 1..=ENTRIES {
        let reply = client.post_form("/", &format!("name=Visitor+{n}&message=Hello+to+all"))?;
        ensure!(reply.status == 303, "a POST is answered {}", reply.status);
    }
    let url = Url { address: server.address, path: "/" };
    client::check(url, &format!("Visitor {ENTRIES}"))?;
    let once = |_| Ok(client.get("/")?.last_byte.as_secs_f64() * 1000.0);
    let request = (0..REQUESTS).map(once).collect::<Result<Series>>()?;
    let rate = setting.wrk.run(url, CONNECTIONS, setting.duration)?.rate();
    Ok(Row { language, kilobytes: bytes as f64 / 1000.0, first_start, second_start, request, rate })
}

fn table(rows: &[Row<'_>]) -> Result<String> {
    let mut text = format!(
        "\n`GET /` of a guest book with {ENTRIES} entries: the median of {REQUESTS} requests one after the other, and the \
         rate at {CONNECTIONS} connections. Starts are from process start to first byte, the first one compiles.\n\n\
         | language | with | module kB | first start ms | second start ms | request ms | requests/s | build |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    for Row { language, kilobytes, first_start, second_start, request, rate } in rows {
        writeln!(
            text,
            "| {} | {} | {kilobytes:.0} | {first_start:.0} | {second_start:.0} | {:.2} | {rate:.0} | `{}` |",
            language.name,
            language.with,
            request.median(),
            language.command,
        )?;
    }
    Ok(text)
}

const ENTRIES: usize = 3;
const REQUESTS: usize = 200;
const CONNECTIONS: usize = 8;
