//! Over HTTP: requests a second, their times, what they cost the server, for scripts and their peers in turn.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::client::{self, Client, Url};
use super::findings::{Bytes, Findings, Row};
use super::load::Load;
use super::peers;
use super::process::{Memory, Server};
use super::setting::Setting;

/// What answers one kind of request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contender<'a> {
    pub(crate) name: &'a str,
    pub(crate) server: &'a Server,
    pub(crate) path: &'a str,
    /// Part of the answer.
    pub(crate) says: &'a str,
    pub(crate) connections: &'a [usize],
}

impl<'a> Contender<'a> {
    fn url(&self) -> Url<'a> {
        Url { address: self.server.address, path: self.path }
    }
}

/// Small scripts against a native route of the same process, and against the same program as native CGI.
pub(crate) fn hello(setting: &Setting<'_>, findings: &mut Findings) -> Result<()> {
    let hello = setting.guest("hello");
    let ours = setting.serve("bench-server", &[], &[("/c", &hello)])?;
    let rust = setting.serve("bench-server (Rust)", &[], &[("/rust", &setting.guest("hello-rust"))])?;
    let fallback = setting.serve("bench-server (without PAGEMAP_SCAN)", NO_SCAN, &[("/c", &hello)])?;
    let cgi = peers::native_hello(setting)
        .and_then(|program| peers::lighttpd(setting, "lighttpd-hello", program.parent().unwrap_or(Path::new("/"))));
    let cgi = findings.keep(LIGHTTPD_C, cgi);

    let mut contenders = vec![
        Contender { name: NATIVE, server: &ours, path: "/native", says: HELLO, connections: &[1, 8, 32, 64] },
        Contender { name: HELLO_C, server: &ours, path: "/c", says: HELLO, connections: &[1, 8, 32, 64] },
        Contender { name: HELLO_C_FALLBACK, server: &fallback, path: "/c", says: HELLO, connections: ALL },
        Contender { name: HELLO_RUST, server: &rust, path: "/rust", says: HELLO, connections: ALL },
    ];
    if let Some(server) = &cgi {
        contenders.push(Contender { name: LIGHTTPD_C, server, path: "/hello.cgi", says: HELLO, connections: ALL });
    }
    measure(setting, findings, &contenders, setting.duration)
}

/// The page of `examples/hello` against Wasmer's own server, the last that ran such packages.
pub(crate) fn wasmer(setting: &Setting<'_>, findings: &mut Findings) -> Result<()> {
    if !setting.with_wasmer {
        findings.note(WASMER, "left out: --with-wasmer builds and measures it");
        return Ok(());
    }
    let package = setting.workspace.examples().join("hello");
    let ours = setting.serve("bench-server (page)", &[], &[("/page", &package)])?;
    // It hangs when a second connection is made or one is closed within a response, as wrk does at its end, and keeps a core
    // busy when nobody asks. So it is started for each load, more often where it hangs anyway, and runs for nothing else.
    for round in 0..=setting.rounds * 4 {
        if findings.rounds(WASMER, 1) == setting.rounds {
            break;
        }
        let theirs = peers::wasmer(setting, WASMER, &package)?;
        let contenders = [
            Contender { name: PAGE, server: &ours, path: "/page", says: PAGE_SAYS, connections: &[1] },
            Contender { name: WASMER, server: &theirs, path: "/", says: PAGE_SAYS, connections: &[1] },
        ];
        let able = able(findings, &contenders);
        loads(setting, findings, &able, round, 1, setting.duration);
    }
    Ok(())
}

/// The page of `examples/php`, its start-up in each request and in a snapshot, against native PHP, started for each request and
/// kept between them.
pub(crate) fn php(setting: &Setting<'_>, findings: &mut Findings) -> Result<()> {
    let Some(package) = setting.php() else {
        findings.note(PHP, "left out: `cargo xtask setup` fetches php-cgi");
        return Ok(());
    };
    let pages = package.join("app");
    let plain = ["--no-snapshot"];
    let ours = setting.serve("bench-server (PHP)", &plain, &[("/php", &package)])?;
    let options = [&plain, NO_SCAN].concat();
    let fallback = setting.serve("bench-server (PHP without PAGEMAP_SCAN)", &options, &[("/php", &package)])?;
    let snapshot = findings.keep(
        PHP_SNAPSHOT,
        setting
            .on_snapshot_php("php")
            .and_then(|package| setting.serve("bench-server (PHP in a snapshot)", &[], &[("/php", &package)])),
    );
    let lighttpd = findings.keep(LIGHTTPD_PHP, peers::lighttpd(setting, "lighttpd-php", &pages));
    let nginx = findings.keep(NGINX_PHP, peers::nginx(setting, "nginx-php", &pages));
    let of = |name, server, path| Contender { name, server, path, says: PHP_SAYS, connections: ALL };
    let mut contenders = vec![of(PHP, &ours, "/php"), of(PHP_FALLBACK, &fallback, "/php")];
    contenders.extend(snapshot.as_ref().map(|server| of(PHP_SNAPSHOT, server, "/php")));
    contenders.extend(lighttpd.as_ref().map(|server| of(LIGHTTPD_PHP, server, "/index.php")));
    contenders.extend(nginx.as_ref().map(|server| of(NGINX_PHP, server, "/index.php")));
    measure(setting, findings, &contenders, setting.duration)
}

/// Measures them against each other, in each round each of them, by loads that last so long. Numbers of connections grow,
/// as a server may keep the memory that many once needed.
pub(crate) fn measure(
    setting: &Setting<'_>,
    findings: &mut Findings,
    contenders: &[Contender<'_>],
    duration: Duration,
) -> Result<()> {
    let able = able(findings, contenders);
    latencies(setting, findings, &able)?;
    let mut connections: Vec<usize> = able.iter().flat_map(|contender| contender.connections).copied().collect();
    connections.sort_unstable();
    connections.dedup();
    for connections in connections {
        for round in 0..=setting.rounds {
            loads(setting, findings, &able, round, connections, duration);
        }
    }
    Ok(())
}

/// Those that answer as they should.
fn able<'a>(findings: &mut Findings, contenders: &[Contender<'a>]) -> Vec<Contender<'a>> {
    let mut able = contenders.to_vec();
    able.retain(|contender| findings.keep(contender.name, client::check(contender.url(), contender.says)).is_some());
    able
}

/// One load on each of them that is measured at so many connections.
fn loads(
    setting: &Setting<'_>,
    findings: &mut Findings,
    contenders: &[Contender<'_>],
    round: usize,
    connections: usize,
    duration: Duration,
) {
    for contender in contenders.iter().filter(|contender| contender.connections.contains(&connections)) {
        println!("  round {round} of {}: {}, {connections} connections", setting.rounds, contender.name);
        let measured = sample(setting, contender, connections, duration);
        let Some(sample) = findings.keep(contender.name, measured) else { continue };
        // The first round warms up.
        if round > 0 {
            add(findings.http_row(contender.name, connections), &sample);
        }
    }
}

/// One load.
struct Sample {
    load: Load,
    processor: f64,
    memory: Memory,
}

fn sample(setting: &Setting<'_>, contender: &Contender<'_>, connections: usize, duration: Duration) -> Result<Sample> {
    let before = contender.server.usage()?;
    let watch = contender.server.watch();
    let load = setting.wrk.run(contender.url(), connections, duration);
    let memory = watch.peak();
    let processor = contender.server.usage()?.processor.saturating_sub(before.processor);
    // What it still does for clients that are gone must not be laid at the next one's door. Some never come to rest.
    let _ = contender.server.wait_until_quiet(Duration::from_secs(5));
    Ok(Sample { load: load?, processor: processor.as_secs_f64(), memory })
}

fn add(row: &mut Row, sample: &Sample) {
    row.rate.push(sample.load.rate());
    row.p50.push(sample.load.p50.as_secs_f64());
    row.p99.push(sample.load.p99.as_secs_f64());
    row.max.push(sample.load.max.as_secs_f64());
    row.processor.push(sample.processor * 1000.0 / sample.load.requests.max(1.0));
    row.resident.push(sample.memory.resident as f64);
    row.proportional.push(sample.memory.proportional as f64);
}

/// First and last byte, in turn, a few requests of each at a time.
fn latencies(setting: &Setting<'_>, findings: &mut Findings, contenders: &[Contender<'_>]) -> Result<()> {
    let mut rows: Vec<Bytes> =
        contenders.iter().map(|contender| Bytes { contender: contender.name.to_owned(), ..Bytes::default() }).collect();
    for _ in 0..setting.rounds {
        for (contender, row) in contenders.iter().zip(&mut rows) {
            // Some servers close a connection after some requests, so each batch has its own.
            let mut client = Client::connect(contender.server.address)?;
            let begin = Instant::now();
            for _ in (0..BATCH).take_while(|_| begin.elapsed() < setting.duration) {
                let reply = client.get(contender.path)?;
                row.first.push(reply.first_byte.as_secs_f64());
                row.last.push(reply.last_byte.as_secs_f64());
            }
        }
    }
    findings.bytes.extend(rows);
    Ok(())
}

pub(crate) const NATIVE: &str = "native axum route";
pub(crate) const HELLO_C: &str = "hello in C";
const HELLO_C_FALLBACK: &str = "hello in C, without PAGEMAP_SCAN";
const HELLO_RUST: &str = "hello in Rust";
const LIGHTTPD_C: &str = "lighttpd, native hello in C";
pub(crate) const PHP: &str = "PHP hello";
pub(crate) const PHP_SNAPSHOT: &str = "PHP hello, in a snapshot";
const PHP_FALLBACK: &str = "PHP hello, without PAGEMAP_SCAN";
pub(crate) const LIGHTTPD_PHP: &str = "lighttpd, native php-cgi";
pub(crate) const NGINX_PHP: &str = "nginx, php-fpm";
pub(crate) const PAGE: &str = "examples/hello";
pub(crate) const WASMER: &str = "Wasmer, examples/hello";
const NO_SCAN: &[&str] = &["--no-pagemap-scan"];
const HELLO: &str = "Hello, World!";
const PHP_SAYS: &str = "<h1>Hello, World!</h1>";
/// In one piece: Wasmer sends each write as a chunk.
const PAGE_SAYS: &str = "<title>Hello</title>";
/// For a contender with nothing to be compared with at 32.
const ALL: &[usize] = &[1, 8, 64];
/// Fewer than any server here answers on one connection before it closes it.
const BATCH: usize = 50;
