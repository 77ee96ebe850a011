//! `WcgiService::call` to the response's last byte, against the floor, in one thread and in two. The floor is the least that a
//! host on wasmtime can do for the same run.
//!
//! Names are `GUEST/SUBJECT/THREADS`. A time is that of all threads together, so a second thread should halve it.
//! `cargo xtask bench` runs this and compares.
#![expect(clippy::print_stderr, reason = "says what it leaves out")]

mod floor;

use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use tower::ServiceExt as _;
use tower_wcgi::{Engine, WcgiService};

use floor::Floor;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let engine = Engine::builder().cache_dir(root.join("target/bench/cache")).build().expect("an engine");

    let hello = root.join("target/guests/hello.wasm");
    assert!(hello.exists(), "the guests are not built; `cargo xtask guests` does that");
    let guest = Guest { name: "hello", floor: Floor::new(&hello, &ENV, None), package: hello, says: "Hello, World!\n" };
    measure(&mut criterion, &engine, &guest);

    let php = root.join("examples/php");
    if php.join("php-cgi.wasm").exists() {
        let floor =
            Floor::new(&php.join("php-cgi.wasm"), &[&ENV[..], &PHP_ENV].concat(), Some((&php.join("app"), "/app")));
        measure(&mut criterion, &engine, &Guest { name: "php", floor, package: php, says: "<h1>Hello, World!</h1>" });
    } else {
        eprintln!("php is left out: `cargo xtask setup` fetches it");
    }
    criterion.final_summary();
}

/// A program, as the floor and as the service run it.
struct Guest {
    name: &'static str,
    floor: Floor,
    package: PathBuf,
    /// Part of what it answers: a measurement of something else would be worth nothing.
    says: &'static str,
}

fn measure(criterion: &mut Criterion, engine: &Engine, guest: &Guest) {
    let service = WcgiService::builder().engine(engine.clone()).package(&guest.package).build().expect("a service");
    let contains = |output: &[u8]| String::from_utf8_lossy(output).contains(guest.says);
    let mut group = criterion.benchmark_group(guest.name);
    for threads in [1, 2] {
        bench(&mut group, "floor", threads, async || contains(&guest.floor.run().await));
        bench(&mut group, "call", threads, async || {
            let (status, body) = call(&service).await;
            status == StatusCode::OK && contains(&body)
        });
    }
    group.finish();
}

async fn call(service: &WcgiService) -> (StatusCode, Bytes) {
    let request = Request::get("/").header("host", "localhost").body(Empty::<Bytes>::new()).expect("a valid request");
    let Ok(response) = service.clone().oneshot(request).await;
    let status = response.status();
    (status, response.into_body().collect().await.expect("a whole body").to_bytes())
}

/// Measures `run`, which says whether it did what it should, in as many threads at once, each with a runtime of its own.
fn bench<R>(group: &mut BenchmarkGroup<'_, WallTime>, subject: &str, threads: u64, run: R)
where
    R: AsyncFn() -> bool + Sync,
{
    group.bench_function(format!("{subject}/{threads}"), |bencher| {
        bencher.iter_custom(|iterations| timed(threads, iterations, &run));
    });
}

/// How long `iterations` runs take when the threads share them. Each thread takes some of the remaining runs. So a thread that
/// is held up does not make the others wait for its share.
fn timed(threads: u64, iterations: u64, run: &(impl AsyncFn() -> bool + Sync)) -> Duration {
    let taken = AtomicU64::new(0);
    let start = Barrier::new(usize::try_from(threads).expect("few threads") + 1);
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        start.wait();
        loop {
            let from = taken.fetch_add(SHARE, Ordering::Relaxed);
            if from >= iterations {
                break;
            }
            for _ in from..iterations.min(from + SHARE) {
                assert!(runtime.block_on(run()), "the guest did not answer as it should");
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        start.wait();
        let begin = Instant::now();
        for worker in workers {
            worker.join().expect("every run goes well");
        }
        begin.elapsed()
    })
}

/// How many runs a thread takes at a time.
const SHARE: u64 = 8;

/// What the service gives a script: reading it is the script's work, and so the floor's.
const ENV: [(&str, &str); 13] = [
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_METHOD", "GET"),
    ("QUERY_STRING", ""),
    ("REQUEST_URI", "/"),
    ("SCRIPT_NAME", ""),
    ("PATH_INFO", "/"),
    ("SERVER_SOFTWARE", "tower-wcgi/0.1.0"),
    ("SERVER_NAME", "localhost"),
    ("SERVER_PORT", "80"),
    ("REDIRECT_STATUS", "200"),
    ("HTTP_HOST", "localhost"),
    ("TMPDIR", "/tmp"),
];
/// And what php-cgi gets besides.
const PHP_ENV: [(&str, &str); 2] = [("DOCUMENT_ROOT", "/app"), ("SCRIPT_FILENAME", "/app/index.php")];
