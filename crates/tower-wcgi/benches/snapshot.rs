//! What a snapshot of its start-up saves a request: `WcgiService::call` to the response's last byte, one at a time.
//!
//! Names are `GUEST/plain` and `GUEST/snapshot`.
#![expect(clippy::print_stderr, reason = "says what it leaves out")]

use std::path::Path;

use bytes::Bytes;
use criterion::Criterion;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use tower::ServiceExt as _;
use tower_wcgi::{Access, Engine, WcgiBuilder, WcgiService};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let engine = Engine::builder().cache_dir(root.join("target/bench/cache")).build().expect("an engine");
    let guest = |name: &str| root.join("target/guests").join(name).with_extension("wasm");
    let builder = |name: &str| WcgiService::builder().engine(engine.clone()).package(guest(name));

    assert!(guest("table").exists(), "the guests are not built; `cargo xtask guests` does that");
    measure(&mut criterion, "table", || builder("table"));
    if guest("snapshot-php").exists() {
        measure(&mut criterion, "php", || {
            let php = builder("snapshot-php").map_dir("/app", root.join("examples/php/app"), Access::ReadOnly);
            php.env("REDIRECT_STATUS", "200").env("SCRIPT_FILENAME", "/app/index.php")
        });
    } else {
        eprintln!("php is left out: `cargo xtask php` builds one whose start-up can be in a snapshot");
    }
    criterion.final_summary();
}

fn measure(criterion: &mut Criterion, guest: &str, builder: impl Fn() -> WcgiBuilder) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut group = criterion.benchmark_group(guest);
    for (subject, snapshot) in [("plain", false), ("snapshot", true)] {
        let service = builder().snapshot(snapshot).build().expect("a service");
        group.bench_function(subject, |bencher| {
            bencher.iter(|| assert_eq!(runtime.block_on(call(&service)), StatusCode::OK));
        });
    }
    group.finish();
}

async fn call(service: &WcgiService) -> StatusCode {
    let request = Request::get("/").header("host", "localhost").body(Empty::<Bytes>::new()).expect("a valid request");
    let Ok(response) = service.clone().oneshot(request).await;
    let status = response.status();
    response.into_body().collect().await.expect("a whole body");
    status
}
