//! `cargo xtask bench soak --faults`: rounds of load on PHP with SQLite and uploads, with everything short at once: descriptors,
//! addresses, disk. Each ends by a kill in the middle. After each a server without limits has to find everything whole.

use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::BuildHasher as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::process::{Output, Server};
use crate::workspace::Workspace;

/// What all rounds came to.
#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    /// Answered with an error, or not at all: that is what the faults are for.
    failed: AtomicU64,
    /// The last row that a response has confirmed.
    row: AtomicU64,
}

/// Rounds for so many minutes, on the program `wcgi`.
pub(crate) fn run(workspace: &Workspace, wcgi: &Path, minutes: f64) -> Result<()> {
    let php = workspace.guests().join("snapshot-php.wasm");
    ensure!(php.exists(), "php-cgi is not there; `cargo xtask setup` fetches it");
    let scene = Scene::prepare(&workspace.root().join("target/bench/faults"), &php, wcgi)?;
    let (counts, begin) = (Counts::default(), Instant::now());
    let mut rounds = 0;
    while begin.elapsed().as_secs_f64() < minutes * 60.0 {
        rounds += 1;
        scene.round(rounds % 2 == 0, &counts)?;
        scene.check(&counts).with_context(|| format!("after round {rounds}"))?;
        let [answered, failed, row] =
            [&counts.answered, &counts.failed, &counts.row].map(|n| n.load(Ordering::Relaxed));
        println!("  round {rounds}: {answered} answered, {failed} failed, {row} rows: all whole");
    }
    let failed = counts.failed.load(Ordering::Relaxed);
    ensure!(counts.answered.load(Ordering::Relaxed) > failed / 100 && failed > 0, "no faults, or nothing but faults");
    println!("{rounds} kills under faults, and everything was whole after each.");
    Ok(())
}

/// A package, and a small disk for its data, its temporary files and its cache.
struct Scene {
    package: PathBuf,
    disk: PathBuf,
    wcgi: PathBuf,
    is_mounted: bool,
}

impl Scene {
    fn prepare(directory: &Path, php: &Path, wcgi: &Path) -> Result<Self> {
        let (package, disk) = (directory.join("package"), directory.join("disk"));
        // What an earlier run left, which may have been ended in the middle.
        let _ = Command::new("umount").arg("-l").arg(&disk).output();
        let _ = fs::remove_dir_all(directory);
        for path in [&package.join("app"), &disk] {
            fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        }
        fs::copy(php, package.join("php.wasm"))?;
        fs::write(package.join("app/index.php"), PAGE)?;
        fs::write(package.join("wasmer.toml"), MANIFEST)?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(&disk).output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        if !is_mounted {
            println!("only root can mount a small disk; no disk will be full");
        }
        for name in ["data", "tmp", "cache"] {
            fs::create_dir(disk.join(name))?;
        }
        let scene = Self { package, disk, wcgi: wcgi.to_owned(), is_mounted };
        println!("compiling PHP");
        scene.start("true")?;
        Ok(scene)
    }

    /// Starts the server, with the limits that the shell's `limit` sets.
    fn start(&self, limit: &str) -> Result<Server> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{limit}; exec \"$0\" \"$@\"")).arg(&self.wcgi);
        command.args(["run", "--addr", "127.0.0.1:0", "--max-concurrency", "32", "--cache-dir"]);
        command.arg(self.disk.join("cache")).arg("--mapdir").arg(format!("/data:{}", self.disk.join("data").display()));
        command.arg(&self.package).env("TMPDIR", self.disk.join("tmp"));
        Server::start("wcgi", &mut command, Output::Stderr)
    }

    fn round(&self, without_pool: bool, counts: &Counts) -> Result<()> {
        let memory = if without_pool { "ulimit -v 3000000" } else { "true" };
        let server = self.start(&format!("ulimit -n 96; {memory}"))?;
        let (address, over) = (server.address, AtomicBool::new(false));
        let ask = |target: String, body: Vec<u8>| {
            let response = post(address, &target, &body);
            let is_whole = response.as_ref().is_some_and(|response| response.ends_with("done\n"));
            if is_whole { &counts.answered } else { &counts.failed }.fetch_add(1, Ordering::Relaxed);
            response.filter(|_| is_whole)
        };
        thread::scope(|scope| {
            for _ in 0..ROW_WRITERS {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let response = ask("/?row".to_owned(), Vec::new()).unwrap_or_default();
                        if let Some(row) =
                            response.rsplit_once("row=").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
                        {
                            counts.row.fetch_max(row, Ordering::Relaxed);
                        }
                    }
                });
            }
            for n in 0..UPLOADERS {
                let (over, ask) = (&over, &ask);
                scope.spawn(move || {
                    let mut byte = n;
                    while !over.load(Ordering::Relaxed) {
                        byte = (byte + 1) % 26;
                        ask(format!("/?upload={}", byte % 4), upload(byte));
                    }
                });
            }
            thread::park_timeout(random(ROUND / 2));
            // More connections than it has descriptors, and then no room on its disk either.
            let idle: Vec<_> = (0..100).map(|_| TcpStream::connect(address)).collect();
            thread::park_timeout(random(ROUND / 2));
            drop(idle);
            let ballast = self.fill();
            thread::park_timeout(random(ROUND));
            let _ = fs::remove_file(ballast);
            thread::park_timeout(random(ROUND / 2));
            over.store(true, Ordering::Relaxed);
            server.kill()
        })
    }

    /// Takes all the room there is on a disk of its own.
    fn fill(&self) -> PathBuf {
        let path = self.disk.join("ballast");
        if self.is_mounted
            && let Ok(mut file) = File::create(&path)
        {
            while file.write_all(&[0; 64 << 10]).is_ok() {}
        }
        path
    }

    /// What a server without limits finds.
    fn check(&self, counts: &Counts) -> Result<()> {
        let server = self.start("true")?;
        let page = post(server.address, "/", b"").context("no answer")?;
        let row =
            page.rsplit_once("check=ok row=").and_then(|(_, rest)| rest.split_whitespace().next()?.parse::<u64>().ok());
        let confirmed = counts.row.load(Ordering::Relaxed);
        ensure!(row.is_some_and(|row| row >= confirmed), "row {confirmed} was confirmed: {page}");
        for entry in fs::read_dir(self.disk.join("data"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "upload") {
                let bytes = fs::read(&path)?;
                let is_whole = bytes.len() == UPLOAD && bytes.windows(2).all(|two| matches!(two, [a, b] if a == b));
                ensure!(is_whole, "{} is not whole", path.display());
            }
        }
        let left = fs::read_dir(self.disk.join("tmp"))?.count();
        ensure!(left <= 1, "{left} temporary directories are left");
        let partial = fs::read_dir(self.disk.join("cache"))?.flatten().filter(|entry| !entry.path().is_dir()).count();
        ensure!(partial <= 1, "{partial} files in the cache are not whole");
        Ok(())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg("-l").arg(&self.disk).output();
        }
    }
}

/// A time up to `most`.
fn random(most: Duration) -> Duration {
    most.mul_f64((RandomState::new().hash_one(0) % 1000) as f64 / 1000.0)
}

fn post(address: SocketAddr, target: &str, body: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let length = body.len();
    write!(stream, "POST {target} HTTP/1.0\r\nHost: x\r\n{FORM}Content-Length: {length}\r\n\r\n").ok()?;
    stream.write_all(body).ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    Some(response)
}

fn upload(byte: u8) -> Vec<u8> {
    let head = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n";
    [head.as_bytes(), &vec![b'a' + byte; UPLOAD], b"\r\n--x--\r\n"].concat()
}

const ROUND: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);
const ROW_WRITERS: usize = 6;
const UPLOADERS: u8 = 4;
const UPLOAD: usize = 300_000;
const DISK: &str = "size=256m,mode=700";
const FORM: &str = "Content-Type: multipart/form-data; boundary=x\r\n";
const PAGE: &str = r#"<?php
if (isset($_GET['upload'])) {
    $to = '/data/' . (int) $_GET['upload'];
    $part = $to . '.' . bin2hex(random_bytes(4)) . '.part';
    if (!move_uploaded_file($_FILES['file']['tmp_name'], $part) || filesize($part) != 300000) {
        @unlink($part);
        http_response_code(507);
        die("no room\n");
    }
    rename($part, "$to.upload");
    die("done\n");
}
$db = new PDO('sqlite:/data/rows.db');
$db->exec('CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT)');
if (isset($_GET['row'])) {
    $db->prepare('INSERT INTO rows (text) VALUES (?)')->execute([str_repeat('x', 20000)]);
    $row = $db->lastInsertId();
    $db->exec('DELETE FROM rows WHERE id < ' . ($row - 100));
    die("row=$row done\n");
}
foreach (glob('/data/*.part') as $left) unlink($left);
$check = $db->query('PRAGMA integrity_check')->fetchColumn();
echo "check=$check row=", (int) $db->query('SELECT max(id) FROM rows')->fetchColumn(), "\n";
"#;
const MANIFEST: &str = r#"
[[module]]
name = "php"
source = "php.wasm"
abi = "wasi"

[[command]]
name = "php"
module = "php"
runner = "wcgi"

[command.annotations.wcgi]
dialect = "rfc-3875"

[command.annotations.wcgi.site]
root = "/app"
scripts = [".php"]
index = ["index.php"]

[fs]
"/app" = "app"
"#;
