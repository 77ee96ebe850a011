//! Which site answers, with which settings, and how it ends.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;
use wcgi_tests::guest;

use super::{FREE, configured, serve, variable};
use crate::process::{address, shout_back};

#[test]
fn host_and_path_say_which_site_answers() {
    let dir = configured(&format!(
        "{FREE}
[[site]]
name = 'blog'
hosts = ['blog.example.org', '*.example.net']
package = GUEST(env)
env = {{ WHICH = 'blog' }}
[[site]]
name = 'wiki'
hosts = ['blog.example.org']
path = '/wiki'
package = GUEST(env)
env = {{ WHICH = 'wiki' }}
[[site]]
hosts = ['only.example.org']
path = '/deep/path'
package = GUEST(env)
env = {{ WHICH = 'deep' }}
[[site]]
package = GUEST(env)
env = {{ WHICH = 'other' }}
"
    ));
    let serving = serve(dir.path(), &[]);
    for (host, target, which, script, rest) in [
        ("blog.example.org", "/", "blog", "", "/"),
        ("BLOG.example.org.:8000", "/x", "blog", "", "/x"),
        ("a.b.example.net", "/x", "blog", "", "/x"),
        ("blog.example.org", "/wiki", "wiki", "/wiki", ""),
        ("blog.example.org", "/%77iki/x", "wiki", "/wiki", "/x"),
        ("blog.example.org", "/wikis", "blog", "", "/wikis"),
        ("only.example.org", "/deep/path/x", "deep", "/deep/path", "/x"),
        ("example.net", "/wiki", "other", "", "/wiki"),
        ("127.0.0.1", "/", "other", "", "/"),
        ("[::1]:80", "/", "other", "", "/"),
    ] {
        let response = serving.get_from(host, target);
        assert_eq!(variable(&response, "WHICH"), Some(which), "{host}{target}: {response}");
        assert_eq!(variable(&response, "SCRIPT_NAME"), Some(script), "{host}{target}");
        assert_eq!(variable(&response, "PATH_INFO"), Some(rest), "{host}{target}");
    }
    assert!(serving.get_from("only.example.org", "/").starts_with("HTTP/1.1 404"));
    // The target's own host wins.
    let absolute = "GET http://blog.example.org/wiki HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(variable(&serving.ask(absolute), "WHICH"), Some("wiki"));
    assert_eq!(variable(&serving.ask("GET / HTTP/1.0\r\n\r\n"), "WHICH"), Some("other"));
    // A header of a client changes nothing.
    let forwarded = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: blog.example.org\r\nConnection: close\r\n\r\n";
    assert_eq!(variable(&serving.ask(forwarded), "WHICH"), Some("other"));
    let line = serving.line("\"GET /wiki HTTP/1.1\" 200");
    assert!(line.contains(" site=\"wiki\" ") && line.contains(" id="), "{line}");
    assert!(serving.line("\"GET /deep/path/x").contains("site=\"only.example.org/deep/path\""));
    assert!(serving.line("\"GET / HTTP/1.1\" 404").contains("site=\"\""));
}

#[test]
fn what_no_site_may_have_is_answered_by_the_server() {
    let dir = configured(&format!("{FREE}[[site]]\nhosts = ['a.example']\npackage = GUEST(hello)\n"));
    let serving = serve(dir.path(), &[]);
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: b.example\r\n", "404 Not Found"),
        ("GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n", "400 Bad Request"),
        ("GET / HTTP/1.1\r\nHost: user@a.example\r\n", "400 Bad Request"),
        ("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n", "405 Method Not Allowed"),
        ("TRACE / HTTP/1.1\r\nHost: a.example\r\n", "405 Method Not Allowed"),
        ("GET / HTTP/1.1\r\nHost: a.example\r\n", "200 OK"),
    ] {
        let response = serving.ask(&format!("{request}Connection: close\r\n\r\n"));
        assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {response}");
        assert_eq!(status.starts_with("405"), response.contains("\r\nallow: GET, "), "{response}");
    }
}

#[test]
fn a_site_has_its_settings() {
    let dir = configured(
        "[server]
listen = ['127.0.0.1:0']
trusted_proxies = ['127.0.0.0/8']
[engine]
max_concurrency = 4
queue = 2
queue_wait = '5s'
max_memory = '64MiB'
max_tmp = '1MiB'
CACHE
[[site]]
path = '/env'
package = GUEST(env)
env = { TEXT = 'a=b', NUMBER = 0x10, FLOAT = 1.50, YES = true }
pass_authorization = true
[[site]]
path = '/files'
package = GUEST(files)
mapdir = ['/rw:data', '/ro:data:ro']
[[site]]
path = '/spin'
package = GUEST(spin)
deadline = '200ms'
[[site]]
path = '/count'
package = GUEST(count)
max_body = '1KiB'
[[site]]
path = '/grow'
package = GUEST(grow)
max_memory = '16MiB'
",
    );
    fs::create_dir(dir.path().join("data")).unwrap();
    let serving = serve(dir.path(), &["wcgi.toml"]);
    let fields = "Host: x\r\nConnection: close\r\nAuthorization: Basic dTpw\r\nX-Forwarded-For: 203.0.113.9\r\n\
                  X-Forwarded-Proto: https\r\n\r\n";
    let response = serving.ask(&format!("GET /env HTTP/1.1\r\n{fields}"));
    for (name, value) in [
        ("TEXT", "a=b"),
        ("NUMBER", "16"),
        ("FLOAT", "1.50"),
        ("YES", "true"),
        ("HTTP_AUTHORIZATION", "Basic dTpw"),
        ("REMOTE_ADDR", "203.0.113.9"),
        ("HTTPS", "on"),
        ("SERVER_PORT", "443"),
    ] {
        assert_eq!(variable(&response, name), Some(value), "{response}");
    }
    assert_eq!(variable(&response, "REMOTE_PORT"), None);
    assert!(serving.line("\"GET /env").contains(" 203.0.113.9 \"GET "));
    let response = serving.get("/files?op=write&path=/rw/a&data=x&op=write&path=/ro/b&data=x");
    assert!(response.contains("/rw/a: ok") && !response.contains("/ro/b: ok"), "{response}");
    assert!(dir.path().join("data/a").exists());
    assert!(serving.get("/spin").starts_with("HTTP/1.1 504"));
    let body = "x".repeat(1025);
    let post = format!("POST /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1025\r\n\r\n{body}");
    assert!(serving.ask(&post).starts_with("HTTP/1.1 413"));
    assert!(serving.get("/grow?8").contains("grew 8 MiB"));
    assert!(serving.get("/grow?32").contains("failed after"));
}

#[test]
fn a_site_reaches_what_it_alone_is_granted() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let dir = configured(&format!(
        "{FREE}
[[site]]
hosts = ['a']
package = GUEST(net)
net = ['db:3306=127.0.0.1:{port}']
[[site]]
hosts = ['b']
package = GUEST(net)
"
    ));
    let serving = serve(dir.path(), &[]);
    let target = "/?do=echo&say=hello&host=db&port=3306";
    let reply = shout_back(&listener, || serving.get_from("a", target));
    assert!(reply.contains("HELLO\n"), "{reply}");
    let reply = serving.get_from("b", target);
    assert!(reply.contains("does not resolve"), "{reply}");
}

#[test]
fn each_address_has_a_first_line_and_all_packages_are_open_by_then() {
    let dir = configured(
        "[server]\nlisten = ['127.0.0.1:0', '127.0.0.1:0', ':0']\n[engine]\nCACHE\n[[site]]\npackage = GUEST(hello)\n",
    );
    let mut serving = serve(dir.path(), &["-v"]);
    let lines = serving.lines_until("DEBUG");
    assert!(!lines.iter().skip(2).any(|line| line.starts_with("listening")), "{lines:?}");
    for line in lines.iter().take(2) {
        serving.addr = address(line);
        serving.addr.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        assert!(serving.get("/").starts_with("HTTP/1.1 200"), "{line}");
    }
}

#[test]
fn what_runs_is_finished_within_drain() {
    for (drain, whole) in [(30, true), (1, false)] {
        let dir = configured(&format!(
            "[server]\nlisten = ['127.0.0.1:0']\ndrain = {drain}\n[engine]\nCACHE\n[[site]]\npackage = GUEST(ticker)\n"
        ));
        let serving = serve(dir.path(), &[]);
        let mut running = serving.connect();
        let millis = if whole { 500 } else { 20_000 };
        write!(running, "GET /?n=2&ms={millis} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let (mut seen, mut buffer) = (Vec::new(), [0; 1024]);
        while !String::from_utf8_lossy(&seen).contains("tick 1") {
            let n = running.read(&mut buffer).unwrap();
            seen.extend_from_slice(&buffer[..n]);
        }
        serving.signal(Signal::TERM);
        // Where it is cut off, that may be an error.
        let _ = running.read_to_end(&mut seen);
        assert_eq!(String::from_utf8_lossy(&seen).ends_with("tick 2\n\r\n0\r\n\r\n"), whole);
        let addr = serving.addr;
        assert_eq!(serving.wait().code(), Some(0));
        assert!(TcpStream::connect(addr).is_err());
    }
}

#[test]
fn sites_of_one_package_each_have_their_own() {
    let mut text = FREE.to_owned();
    for site in 0..100 {
        text += &format!(
            "[[site]]\nhosts = ['s{site}.example']\npackage = {:?}\nenv = {{ WHICH = {site} }}\n",
            guest("env")
        );
    }
    let dir = configured(&text);
    let serving = serve(dir.path(), &[]);
    for site in 0..100 {
        let response = serving.get_from(&format!("s{site}.example"), "/");
        assert_eq!(variable(&response, "WHICH"), Some(&*site.to_string()));
    }
}
