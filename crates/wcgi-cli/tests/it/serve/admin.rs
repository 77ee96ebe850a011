//! The admin address: health, readiness, metrics, status.

use std::io::{Read, Write};
use std::net::SocketAddr;

use rustix::process::Signal;
use serde_json::Value;

use super::{configured, serve};
use crate::process::{PATIENCE, Serving, address};

/// A server with an admin address, and that address.
pub(crate) fn start(sites: &str) -> (Serving, SocketAddr) {
    let dir = configured(&format!(
        "[server]\nlisten = ['127.0.0.1:0']\nadmin = '127.0.0.1:0'\n[engine]\nmax_concurrency = 2\nCACHE\n{sites}"
    ));
    let serving = serve(dir.path(), &[]);
    let line = serving.lines.recv_timeout(PATIENCE).unwrap();
    assert!(line.starts_with("admin on http://"), "{line}");
    (serving, address(&line))
}

pub(crate) fn get(addr: SocketAddr, target: &str, accept: &str) -> String {
    let mut stream = std::net::TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

fn json(addr: SocketAddr) -> Value {
    let response = get(addr, "/status", "application/json");
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/json"), "{head}");
    serde_json::from_str(body).unwrap()
}

/// The value of a series, as it stands in the text.
pub(crate) fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {metrics}")).parse().unwrap()
}

#[test]
fn health_goes_on_and_readiness_ends_with_the_first_signal() {
    let (serving, admin) = start("[[site]]\npackage = GUEST(ticker)\n");
    for target in ["/healthz", "/readyz"] {
        assert!(get(admin, target, "*/*").starts_with("HTTP/1.1 200"), "{target}");
    }
    assert!(get(admin, "/other", "*/*").starts_with("HTTP/1.1 404"));
    let mut running = serving.connect();
    running.write_all(b"GET /?n=2&ms=3000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    running.read_exact(&mut [0; 8]).unwrap();
    serving.signal(Signal::TERM);
    let ready = loop {
        let ready = get(admin, "/readyz", "*/*");
        if !ready.starts_with("HTTP/1.1 200") {
            break ready;
        }
    };
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(get(admin, "/healthz", "*/*").starts_with("HTTP/1.1 200"));
    running.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(serving.wait().code(), Some(0));
}

#[test]
fn metrics_count_what_happened_and_nothing_that_a_client_made_up() {
    let (serving, admin) = start(
        "[[site]]\nname = 'hello'\nhosts = ['hello']\npackage = GUEST(hello)\n\
         [[site]]\nname = 'trap'\nhosts = ['trap']\npackage = GUEST(trap)\n\
         [[site]]\nname = 'spin'\nhosts = ['spin']\npackage = GUEST(spin)\ndeadline = '1s'\n\
         [[site]]\nname = 'stderr'\nhosts = ['stderr']\npackage = GUEST(stderr)\n",
    );
    for _ in 0..3 {
        assert!(serving.get_from("hello", "/made-up").starts_with("HTTP/1.1 200"));
    }
    serving.ask("BREW / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n\r\n");
    assert!(serving.get_from("trap", "/").starts_with("HTTP/1.1 502"));
    assert!(serving.get_from("spin", "/").starts_with("HTTP/1.1 504"));
    assert!(serving.get_from("stderr", "/?one%0atwo%0a").starts_with("HTTP/1.1 200"));
    assert!(serving.get_from("nobody", "/").starts_with("HTTP/1.1 404"));
    let text = get(admin, "/metrics", "*/*");
    let (head, metrics) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    for (series, expected) in [
        ("wcgi_requests_total{site=\"hello\",method=\"GET\",status=\"200\"}", 3.0),
        ("wcgi_requests_total{site=\"hello\",method=\"other\",status=\"200\"}", 1.0),
        ("wcgi_requests_total{site=\"\",method=\"GET\",status=\"404\"}", 1.0),
        ("wcgi_request_duration_seconds_count{site=\"hello\"}", 4.0),
        ("wcgi_queue_duration_seconds_count{site=\"hello\"}", 4.0),
        ("wcgi_instantiate_duration_seconds_count{site=\"hello\"}", 4.0),
        ("wcgi_first_byte_duration_seconds_count{site=\"hello\"}", 4.0),
        ("wcgi_memory_peak_bytes_count{site=\"hello\"}", 4.0),
        ("wcgi_failures_total{site=\"trap\",kind=\"trap\"}", 1.0),
        ("wcgi_failures_total{site=\"spin\",kind=\"deadline-exceeded\"}", 1.0),
        ("wcgi_stderr_lines_total{site=\"stderr\"}", 2.0),
        ("wcgi_exchanges{site=\"spin\",state=\"computing\"}", 0.0),
        ("wcgi_queue_length", 0.0),
        ("wcgi_permits_available", 2.0),
        ("wcgi_log_lines_dropped_total", 0.0),
        ("wcgi_reloads_total{result=\"ok\"}", 0.0),
    ] {
        assert_eq!(value(metrics, series), expected, "{series}");
    }
    let cpu = value(metrics, "wcgi_cpu_seconds_total{site=\"spin\"}");
    assert!(cpu > 0.1 && cpu < 10.0, "{cpu}");
    assert!(value(metrics, "wcgi_snapshot_age_seconds{site=\"hello\"}") > 0.0);
    assert!(metrics.contains("\nprocess_resident_memory_bytes "), "{metrics}");
    assert!(!metrics.contains("made-up") && !metrics.contains("BREW") && !metrics.contains("nobody"), "{metrics}");
    for line in metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        for word in ["HELP", "TYPE"] {
            assert!(metrics.contains(&format!("# {word} {family} ")), "no {word} of {family}");
        }
    }
}

#[test]
fn the_status_says_what_runs() {
    let (serving, admin) = start(
        "[[site]]\nname = 'ticker'\npackage = GUEST(ticker)\n[[site]]\nname = 'echo'\npath = '/echo'\npackage = GUEST(count)\n",
    );
    let mut running = serving.connect();
    running.write_all(b"GET /a&b?n=2&ms=30000 HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\n\r\n").unwrap();
    running.read_exact(&mut [0; 8]).unwrap();
    let mut reading = serving.connect();
    reading.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab").unwrap();
    let status = loop {
        let status = json(admin);
        if status["running"].as_array().unwrap().iter().any(|exchange| exchange["state"] == "reading") {
            break status;
        }
    };
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["uptime_seconds"].is_u64());
    assert_eq!(status["engine"]["permits"], 2);
    assert_eq!((&status["engine"]["available"], &status["engine"]["queued"]), (&0.into(), &0.into()));
    let mut queued = serving.connect();
    queued.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let status = loop {
        let status = json(admin);
        if status["engine"]["queued"] == 1 {
            break status;
        }
    };
    let exchanges = status["running"].as_array().unwrap();
    let find = |state: &str| exchanges.iter().find(|exchange| exchange["state"] == state).unwrap();
    let ticker = exchanges.iter().find(|exchange| exchange["id"] == "mine").unwrap();
    assert_eq!(
        (&ticker["site"], &ticker["method"], &ticker["path"]),
        (&"ticker".into(), &"GET".into(), &"/a&b".into())
    );
    assert!(ticker["age_ms"].is_u64() && ticker["memory_bytes"].as_u64().unwrap() > 0, "{ticker}");
    assert_eq!(find("reading")["site"], "echo");
    assert_eq!(find("permit")["site"], "ticker");
    let sites = status["sites"].as_array().unwrap();
    assert_eq!(
        (&sites[0]["name"], &sites[0]["running"], &sites[0]["queued"]),
        (&"ticker".into(), &1.into(), &1.into())
    );
    assert!(sites[0]["requests"].as_u64().unwrap() >= 2, "{status}");
    assert!(sites[0]["package"].as_str().unwrap().contains("ticker"), "{status}");

    let page = get(admin, "/status", "text/html,application/xhtml+xml,*/*;q=0.8");
    assert!(
        page.contains("content-type: text/html") && page.contains("/a&amp;b") && page.contains("viewport"),
        "{page}"
    );
    assert!(!page.contains("<script"), "{page}");
}
