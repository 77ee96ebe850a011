//! The response cache of a site.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::admin::{get, start, value};
use super::{FREE, configured, serve, write};
use crate::process::{PATIENCE, Serving};

/// The target at which the guest `raw` answers with these header lines and this text.
fn raw(headers: &str, text: &str) -> String {
    let answer = format!("Content-Type: text/plain\n{headers}\n\n{text}").replace("\n\n\n", "\n\n");
    format!("/?{}", answer.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>())
}

fn field<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    let head = response.split("\r\n\r\n").next()?;
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn status(response: &str) -> &str {
    field(response, "cache-status").unwrap_or_else(|| panic!("no cache-status in {response}"))
}

fn ask(serving: &Serving, method: &str, target: &str, headers: &str) -> String {
    serving.ask(&format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{headers}Connection: close\r\n\r\n"))
}

fn one(name: &str, guest: &str, cache: &str) -> String {
    format!("[[site]]\nname = '{name}'\nhosts = ['{name}']\npackage = GUEST({guest})\ncache = '{cache}'\n")
}

fn exchanges(admin: SocketAddr, site: &str) -> f64 {
    let metrics = get(admin, "/metrics", "*/*");
    value(&metrics, &format!("wcgi_instantiate_duration_seconds_count{{site=\"{site}\"}}"))
}

fn results(admin: SocketAddr, site: &str, result: &str) -> f64 {
    let metrics = get(admin, "/metrics", "*/*");
    value(&metrics, &format!("wcgi_cache_total{{site=\"{site}\",result=\"{result}\"}}"))
}

#[test]
fn what_is_stored_answers_without_a_permit() {
    let (serving, admin) = start(&format!(
        "{}[[site]]\nname = 'slow'\nhosts = ['slow']\npackage = GUEST(ticker)\n",
        one("a", "random", "1h")
    ));
    let first = serving.get_from("a", "/");
    assert_eq!(status(&first), "wcgi; fwd=uri-miss; stored");
    let mut busy: Vec<_> = (0..2).map(|_| serving.connect()).collect();
    for busy in &mut busy {
        busy.write_all(b"GET /?n=2&ms=60000 HTTP/1.1\r\nHost: slow\r\n\r\n").unwrap();
        busy.read_exact(&mut [0; 8]).unwrap();
    }
    let body = |response: &str| response.split_once("\r\n\r\n").unwrap().1.to_owned();
    for _ in 0..3 {
        let second = serving.get_from("A", "/");
        assert!(status(&second).starts_with("wcgi; hit; ttl=3") && field(&second, "age").is_some(), "{second}");
        assert_eq!(body(&first), body(&second));
    }
    let head = serving.ask("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(status(&head).starts_with("wcgi; hit"), "{head}");
    assert_eq!(field(&head, "content-length").unwrap(), body(&first).len().to_string());
    assert_eq!((exchanges(admin, "a"), results(admin, "a", "hit"), results(admin, "a", "miss")), (1.0, 4.0, 1.0));
    let metrics = get(admin, "/metrics", "*/*");
    assert_eq!(value(&metrics, "wcgi_requests_total{site=\"a\",method=\"GET\",status=\"200\"}"), 4.0);
}

#[test]
fn one_request_asks_and_others_wait() {
    let (serving, admin) = start(&one("t", "ticker", "1h"));
    let target = "/?n=2&ms=2000";
    let mut first = serving.connect();
    write!(first, "GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    // It is not held back until it is whole.
    let mut begun = String::new();
    let mut piece = [0; 256];
    while !begun.contains("tick 1\n") {
        let n = first.read(&mut piece).unwrap();
        begun += std::str::from_utf8(&piece[..n]).unwrap();
    }
    assert!(!begun.contains("tick 2"), "{begun}");
    let mut others: Vec<_> = (0..8).map(|_| serving.connect()).collect();
    for other in &mut others {
        write!(other, "GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    }
    for mut other in others {
        let mut response = String::new();
        other.read_to_string(&mut response).unwrap();
        assert!(status(&response).contains("hit; collapsed") && response.ends_with("tick 1\ntick 2\n"), "{response}");
    }
    let mut rest = String::new();
    first.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("tick 2\n"), "{rest}");
    assert_eq!((exchanges(admin, "t"), results(admin, "t", "wait")), (1.0, 8.0));
    // A client that leaves takes nothing from those who wait for the same.
    let target = "/?n=2&ms=1500";
    let mut leaves = serving.connect();
    write!(leaves, "GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    leaves.read_exact(&mut [0; 8]).unwrap();
    drop(leaves);
    assert!(serving.get_from("t", target).ends_with("tick 1\ntick 2\n"));
    assert_eq!(exchanges(admin, "t"), 2.0);
}

#[test]
fn what_the_responses_and_requests_say_decides() {
    let (serving, _admin) = start(&one("h", "raw", "1h"));
    let second = |target: &str, headers: &str| {
        ask(&serving, "GET", target, headers);
        status(&ask(&serving, "GET", target, headers)).to_owned()
    };
    for (headers, request, expected) in [
        ("", "", "wcgi; hit; ttl=3"),
        ("Cache-Control: max-age=60", "", "wcgi; hit; ttl="),
        ("Cache-Control: private", "", "wcgi; fwd=uri-miss"),
        ("Cache-Control: no-store", "", "wcgi; fwd=uri-miss"),
        ("Set-Cookie: a=b", "", "wcgi; fwd=uri-miss"),
        ("Set-Cookie: a=c\nCache-Control: public, max-age=60", "", "wcgi; fwd=uri-miss"),
        ("Vary: *", "", "wcgi; fwd=uri-miss"),
        ("Status: 500 No", "", "wcgi; fwd=uri-miss"),
        ("X: 1", "Cookie: a=b\r\n", "wcgi; fwd=bypass"),
        ("X: 2", "Authorization: Basic YTpi\r\n", "wcgi; fwd=bypass"),
        ("X: 3", "Range: bytes=0-1\r\n", "wcgi; fwd=request"),
        ("X: 4", "Cache-Control: no-store\r\n", "wcgi; fwd=request"),
        ("X: 5", "Cache-Control: no-cache\r\n", "wcgi; fwd=request"),
    ] {
        let seen = second(&raw(headers, "x"), request);
        assert!(seen.starts_with(expected), "{headers:?} {request:?}: {seen}");
    }
    // What is public may be shown to somebody, what somebody has got is not stored.
    let public = raw("Cache-Control: public, max-age=60", "p");
    assert!(second(&public, "Cookie: a=b\r\n").contains("fwd=bypass"));
    assert!(second(&public, "").contains("hit"));
    assert!(second(&public, "Cookie: a=b\r\n").contains("hit"));
    let implicit = raw("X: 6", "p");
    assert!(second(&implicit, "").contains("hit"));
    assert!(second(&implicit, "Cookie: a=b\r\n").contains("fwd=bypass"));
    // Variants.
    let varied = raw("Vary: Accept-Language", "v");
    assert!(second(&varied, "Accept-Language: de\r\n").contains("hit"));
    assert!(status(&ask(&serving, "GET", &varied, "Accept-Language: fr\r\n")).contains("fwd=vary-miss"));
    assert!(status(&ask(&serving, "GET", &varied, "Accept-Language: de\r\n")).contains("hit"));
    // Where a client believes to be.
    let elsewhere = ask(&serving, "GET", &implicit, "X-Forwarded-Host: evil\r\n");
    assert!(status(&elsewhere).contains("fwd=uri-miss"), "{elsewhere}");
    // Nothing is asked for that is not there.
    let alone = ask(&serving, "GET", &raw("X: 7", "x"), "Cache-Control: only-if-cached\r\n");
    assert!(alone.starts_with("HTTP/1.1 504"), "{alone}");
    // A client that has it.
    let tagged = raw("ETag: \"1\"", "t");
    ask(&serving, "GET", &tagged, "If-None-Match: \"0\"\r\n");
    let had = ask(&serving, "GET", &tagged, "If-None-Match: \"1\"\r\n");
    assert!(had.starts_with("HTTP/1.1 304") && had.ends_with("\r\n\r\n") && status(&had).contains("hit"), "{had}");
    // Somebody has changed it.
    assert!(second(&implicit, "").contains("hit"));
    ask(&serving, "POST", &implicit, "Content-Length: 0\r\n");
    assert!(status(&ask(&serving, "GET", &implicit, "")).contains("fwd=uri-miss"));
}

#[test]
fn what_is_stale_is_shown_while_somebody_asks() {
    let (serving, admin) = start(&format!("{}{}", one("t", "ticker", "500ms"), one("h", "raw", "1h")));
    let target = "/?n=2&ms=1500";
    serving.get_from("t", target);
    // Nobody else asks, so this request does as soon as the freshness is over. Its client does not read on.
    let asked = exchanges(admin, "t");
    let mut asking = serving.connect();
    loop {
        write!(asking, "GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        let mut head = [0; 2000];
        let n = asking.read(&mut head).unwrap();
        if std::str::from_utf8(&head[..n]).unwrap().contains("fwd=stale") {
            break;
        }
        asking = serving.connect();
    }
    let begin = Instant::now();
    let stale = serving.get_from("t", target);
    assert!(status(&stale).starts_with("wcgi; hit; ttl=") && stale.ends_with("tick 2\n"), "{stale}");
    assert!(begin.elapsed() < Duration::from_millis(1400) && results(admin, "t", "stale") >= 1.0);
    assert_eq!(exchanges(admin, "t"), asked + 1.0);
    // A script may allow it too, and then nobody waits.
    let target = raw("Cache-Control: max-age=0, stale-while-revalidate=600", "s");
    assert!(status(&ask(&serving, "GET", &target, "")).contains("fwd=uri-miss; stored"));
    assert!(status(&ask(&serving, "GET", &target, "")).starts_with("wcgi; hit"));
    assert_eq!(results(admin, "h", "stale"), 1.0);
    let begin = Instant::now();
    while exchanges(admin, "h") < 2.0 {
        assert!(begin.elapsed() < PATIENCE);
    }
}

#[test]
fn what_does_not_fit_is_sent_as_without_a_cache() {
    let config = |env: &str| {
        format!(
            "{FREE}[cache]\nmemory = '1MiB'\n{}env = {{ A = {env} }}\n{}",
            one("b", "big", "1h"),
            one("h", "raw", "1h")
        )
    };
    let dir = configured(&config("1"));
    let serving = serve(dir.path(), &[]);
    let length = |response: &str| response.split_once("\r\n\r\n").unwrap().1.len();
    let [first, second] = [(); 2].map(|()| serving.get_from("b", "/?n=1048576"));
    // In chunks, of which there may be more or fewer.
    for response in [&first, &second] {
        assert!(length(response) >= 1 << 20 && response.ends_with("\r\n0\r\n\r\n"), "{}", length(response));
    }
    assert!(status(&second).contains("fwd=uri-miss"), "{}", status(&second));
    // What is served anew begins anew, and the others keep what they have.
    let small = "/?n=100";
    for (host, target) in [("b", small), ("h", &raw("", "x"))] {
        serving.get_from(host, target);
        assert!(status(&serving.get_from(host, target)).contains("hit"));
    }
    write(dir.path(), &config("2"));
    serving.signal(Signal::HUP);
    assert!(serving.line("reloaded").contains("opened=1"));
    assert!(status(&serving.get_from("b", small)).contains("fwd=uri-miss"));
    assert!(status(&serving.get_from("h", &raw("", "x"))).contains("hit"));
}
