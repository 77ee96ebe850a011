//! `kill -9` at random moments, 200 times in all: the next start finds everything whole, and nothing left piles up.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use wcgi_tests::{cache_dir, guest, root};

use crate::process::{Serving, wcgi};

const KILLS: usize = 100;

#[test]
fn killed_while_it_compiles_and_caches_it_leaves_a_whole_cache() {
    let dir = tempfile::tempdir().unwrap();
    let (cache, tmp) = (dir.path().join("cache"), dir.path().join("tmp"));
    fs::create_dir(&tmp).unwrap();
    // Another limit of memory is another module to compile and keep.
    let start = |megabytes: usize| {
        let mut command = wcgi(&["run", "--addr", "127.0.0.1:0", "--max-memory", &format!("{megabytes}MiB")]);
        command.arg(guest("router")).arg("--cache-dir").arg(&cache).env("TMPDIR", &tmp);
        command
    };
    let begin = Instant::now();
    drop(Serving::spawn(start(63)));
    let whole = begin.elapsed();
    for n in 0..KILLS {
        // Each is started twice, so that the second finds what the first has left.
        let log = killed_after(start(64 + n / 2), random(whole));
        assert!(!log.contains("WARN") && !log.contains("error"), "{log}");
    }
    for (_, file) in entries(&cache) {
        let stem = file.file_stem().unwrap().to_str().unwrap().to_owned();
        assert_eq!(stem, blake3::hash(&fs::read(&file).unwrap()).to_hex().as_str(), "{}", file.display());
    }
    // The next one that writes to the cache removes what is not whole.
    let serving = Serving::spawn(start(64 + KILLS));
    assert!(serving.get("/").starts_with("HTTP/1.1 200"));
    assert!(serving.lines_until("GET /").iter().all(|line| !line.contains("WARN")));
    let partial = fs::read_dir(&cache).unwrap().filter(|entry| !entry.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(partial, 0);
    assert!(fs::read_dir(&tmp).unwrap().count() <= 1);
}

/// PHP writes rows to SQLite and takes uploads.
#[test]
fn killed_while_it_serves_it_leaves_whole_databases_and_uploads() {
    let php = root().join("target/guests/snapshot-php.wasm");
    if !php.exists() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [tmp, data, app] = ["tmp", "data", "app"].map(|name| dir.path().join(name));
    [&tmp, &data, &app].into_iter().for_each(|path| fs::create_dir(path).unwrap());
    fs::copy(php, dir.path().join("php.wasm")).unwrap();
    fs::write(app.join("index.php"), PAGE).unwrap();
    fs::write(dir.path().join("wasmer.toml"), MANIFEST).unwrap();
    let start = || {
        let mut command = wcgi(&["run", "--addr", "127.0.0.1:0", "--mapdir"]);
        command.arg(format!("/data:{}", data.display())).arg(dir.path());
        command.arg("--cache-dir").arg(cache_dir()).env("TMPDIR", &tmp);
        // PHP is compiled the first time.
        Serving::spawn_within(command, Duration::from_secs(300))
    };
    let acknowledged = AtomicUsize::new(0);
    for n in 0..=KILLS {
        let serving = start();
        let page = serving.get("/");
        let rows = page.split_once("check=ok rows=").and_then(|(_, rows)| rows.lines().next());
        let rows = rows.and_then(|rows| rows.parse::<usize>().ok());
        let expected = acknowledged.load(Ordering::Relaxed);
        assert!(rows.is_some_and(|rows| rows >= expected), "{expected} rows were acknowledged: {page}");
        for (name, bytes) in uploads(&data) {
            assert!(bytes.len() == UPLOAD && bytes.iter().all(|byte| *byte == bytes[0]), "{name} is not whole");
        }
        assert!(fs::read_dir(&tmp).unwrap().count() <= 1, "temporary files pile up");
        if n == KILLS {
            break;
        }
        let addr = serving.addr;
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while post(addr, "/?row", b"").is_some_and(|response| response.contains("row=")) {
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            scope.spawn(|| (0..).all(|n| post(addr, &format!("/?upload={}", n % 4), &upload(n)).is_some()));
            wait(random(Duration::from_millis(200)));
            // The clients end with it.
            drop(serving);
        });
    }
    assert!(acknowledged.load(Ordering::Relaxed) > 0 && !uploads(&data).is_empty());
}

/// Starts `command`, kills it after that time, and gives its log.
fn killed_after(mut command: Command, time: Duration) -> String {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait(time);
    child.kill().unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap()
}

/// A time up to `most`.
fn random(most: Duration) -> Duration {
    let parts = u32::try_from(RandomState::new().hash_one(0) % 1000).unwrap();
    most / 1000 * parts
}

/// A moment to kill at is all that is waited for.
fn wait(time: Duration) {
    let (_sender, nothing) = channel::<()>();
    nothing.recv_timeout(time).unwrap_err();
}

/// POSTs `body`. Nothing if the server did not answer with a whole response.
fn post(addr: SocketAddr, target: &str, body: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(addr).ok()?;
    let head = format!("POST {target} HTTP/1.0\r\nHost: x\r\n{BOUNDARY}");
    write!(stream, "{head}Content-Length: {}\r\n\r\n", body.len()).ok()?;
    stream.write_all(body).ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    response.ends_with("done\n").then_some(response)
}

/// A form with a file in it.
fn upload(n: usize) -> Vec<u8> {
    let head = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n";
    let byte = b'a' + u8::try_from(n % 26).unwrap();
    [head.as_bytes(), &vec![byte; UPLOAD], b"\r\n--x--\r\n"].concat()
}

/// The uploads in `data` that have their names.
fn uploads(data: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let uploads = files.filter(|path| path.extension().is_some_and(|extension| extension == "upload"));
    uploads.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

/// The folders of a cache, each with the files in it.
fn entries(cache: &Path) -> Vec<(PathBuf, PathBuf)> {
    let below = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let folders = below(cache).into_iter().filter(|path| path.is_dir());
    folders.flat_map(|folder| below(&folder).into_iter().map(move |file| (folder.clone(), file))).collect()
}

const UPLOAD: usize = 300_000;
const BOUNDARY: &str = "Content-Type: multipart/form-data; boundary=x\r\n";
const PAGE: &str = r#"<?php
if (isset($_GET['upload'])) {
    $to = '/data/' . (int) $_GET['upload'];
    move_uploaded_file($_FILES['file']['tmp_name'], "$to.part");
    rename("$to.part", "$to.upload");
    die("done\n");
}
$db = new PDO('sqlite:/data/rows.db');
$db->exec('CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, text TEXT)');
if (isset($_GET['row'])) {
    $db->prepare('INSERT INTO rows (text) VALUES (?)')->execute([str_repeat('x', 20000)]);
    die('row=' . $db->lastInsertId() . " done\n");
}
$check = $db->query('PRAGMA integrity_check')->fetchColumn();
echo "check=$check rows=", $db->query('SELECT count(*) FROM rows')->fetchColumn(), "\n";
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
