//! `X-Sendfile`: a script names a file of its mounts, and that is the response.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail like the test")]

use std::fs;

use http::{Method, Request};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tempfile::TempDir;
use tower::ServiceExt;
use tower_wcgi::{Access, ErrorKind, RequestId, WcgiService};
use wcgi_tests::{Reply, Server, ask, builder, get, post, request, settled, wait_for_permits};

use crate::log;

/// A mount `/d` with some files, and a service that may send them.
fn sending() -> (TempDir, WcgiService) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.txt"), "0123456789").unwrap();
    fs::write(dir.path().join("empty"), "").unwrap();
    fs::write(dir.path().join("large"), large()).unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    let service = builder("raw").map_dir("/d", dir.path(), Access::ReadOnly).x_sendfile(true).build().unwrap();
    (dir, service)
}

/// Several pieces, and no two of them alike.
fn large() -> Vec<u8> {
    (0..300_000_u32).flat_map(|n| n.to_le_bytes().into_iter().take(3)).collect()
}

/// Makes the script write exactly this.
fn writes(output: &str) -> String {
    output.bytes().fold("/?".to_owned(), |query, byte| format!("{query}%{byte:02x}"))
}

fn sends(path: &str) -> String {
    writes(&format!("Content-Type: text/plain\nX-Sendfile: {path}\n\nnot this"))
}

fn asking(method: Method, target: &str, fields: &[(&'static str, &str)]) -> Request<Full<bytes::Bytes>> {
    let mut request = request(method, target, "");
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn the_file_is_the_body_and_the_scripts_fields_stay() {
    let (_dir, service) = sending();
    let head =
        "Content-Type: text/csv\nCache-Control: private\nSet-Cookie: a=b\nContent-Length: 3\nX-Sendfile: /d/a.txt";
    let reply = get(&service, &writes(&format!("{head}\n\nnot this"))).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str(), reply.failure), (200, "0123456789", None));
    for (name, value) in [
        ("content-type", "text/csv"),
        ("cache-control", "private"),
        ("set-cookie", "a=b"),
        ("content-length", "10"),
        ("accept-ranges", "bytes"),
        ("x-sendfile", ""),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    assert!(reply.header("etag").starts_with('"') && reply.header("last-modified").ends_with(" GMT"), "{reply:?}");

    let reply = post(&service, &sends("/d/./sub/..//a.txt"), "posted").await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "0123456789"));
    let reply = get(&service, &sends("/d/empty")).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-length"), reply.text().as_str()), (200, "0", ""));
}

#[tokio::test]
async fn a_large_file_comes_in_pieces_of_a_known_length() {
    let (_dir, service) = sending();
    let Ok(response) = service.clone().oneshot(request(Method::GET, &sends("/d/large"), "")).await;
    // The file needs no instance, nor the service.
    wait_for_permits(service.engine(), 16).await;
    drop(service);
    let (mut body, mut content) = (response.into_body(), Vec::new());
    assert_eq!(body.size_hint().exact(), Some(900_000));
    while let Some(frame) = body.frame().await {
        let piece = frame.unwrap().into_data().unwrap();
        assert!(piece.len() <= 64 << 10);
        content.extend_from_slice(&piece);
        assert_eq!(body.size_hint().exact(), Some(900_000 - content.len() as u64));
        assert_eq!(body.is_end_stream(), content.len() == 900_000);
    }
    assert!(content == large());
}

#[tokio::test]
async fn a_file_that_shrinks_meanwhile_fails_the_body() {
    log::capture();
    let (dir, service) = sending();
    let mut request = request(Method::GET, &sends("/d/large"), "");
    request.extensions_mut().insert(RequestId::new("sendfile-shrinks"));
    let Ok(response) = service.clone().oneshot(request).await;
    fs::write(dir.path().join("large"), "short now").unwrap();
    let reply = Reply::read(response).await;
    assert_eq!(
        (reply.status.as_u16(), reply.text().as_str(), reply.failure),
        (200, "short now", Some(ErrorKind::Host))
    );
    log::wait_for("sendfile-shrinks", |line| line.field("reason") == "host").await;
}

#[tokio::test]
async fn ranges() {
    let (_dir, service) = sending();
    for (range, status, content_range, text) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=-3", 206, "bytes 7-9/10", "789"),
        ("bytes=0-99", 206, "bytes 0-9/10", "0123456789"),
        ("bytes=10-", 416, "bytes */10", ""),
        ("bytes=0-1,3-4", 200, "", "0123456789"),
        ("lines=1-2", 200, "", "0123456789"),
    ] {
        let reply = ask(&service, asking(Method::GET, &sends("/d/a.txt"), &[("range", range)])).await;
        let got = (reply.status.as_u16(), reply.header("content-range"), reply.text());
        assert_eq!(got, (status, content_range, text.to_owned()), "{range}");
        assert_eq!(reply.header("content-length"), text.len().to_string());
    }
    let part = asking(Method::GET, &sends("/d/large"), &[("range", "bytes=100000-799999")]);
    assert!(ask(&service, part).await.body == large()[100_000..800_000]);
}

#[tokio::test]
async fn a_client_that_has_the_file_gets_no_second() {
    let (dir, service) = sending();
    let target = sends("/d/a.txt");
    let first = settled(&service, &target).await;
    let (tag, date) = (first.header("etag"), first.header("last-modified"));
    for condition in [("if-none-match", tag), ("if-modified-since", date)] {
        for method in [Method::GET, Method::HEAD] {
            let reply = ask(&service, asking(method, &target, &[condition])).await;
            assert_eq!((reply.status.as_u16(), reply.text().as_str(), reply.header("etag")), (304, "", tag));
        }
    }
    let range = ("range", "bytes=0-1");
    assert_eq!(ask(&service, asking(Method::GET, &target, &[range, ("if-range", tag)])).await.text(), "01");

    // Another content under the same name, of the same length and with the same time.
    let time = fs::metadata(dir.path().join("a.txt")).unwrap().modified().unwrap();
    fs::write(dir.path().join("a.txt"), "abcdefghij").unwrap();
    let file = fs::File::options().write(true).open(dir.path().join("a.txt")).unwrap();
    file.set_modified(time).unwrap();
    for fields in [vec![("if-none-match", tag)], vec![range, ("if-range", tag)]] {
        let reply = ask(&service, asking(Method::GET, &target, &fields)).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "abcdefghij"));
    }

    let own = writes("Content-Type: text/plain\nETag: \"mine\"\nX-Sendfile: /d/a.txt\n\n");
    assert_eq!(get(&service, &own).await.header("etag"), "\"mine\"");
    assert_eq!(ask(&service, asking(Method::GET, &own, &[("if-none-match", "\"mine\"")])).await.status, 304);
}

#[tokio::test]
async fn head_is_answered_with_the_files_head() {
    let (_dir, service) = sending();
    let reply = ask(&service, asking(Method::HEAD, &sends("/d/a.txt"), &[("range", "bytes=0-1")])).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-length"), reply.text().as_str()), (200, "10", ""));
    assert!(!reply.header("etag").is_empty() && !reply.header("last-modified").is_empty());
}

#[tokio::test]
async fn another_status_keeps_it() {
    let (_dir, service) = sending();
    let error = writes("Status: 404 Not Found\nContent-Type: text/plain\nX-Sendfile: /d/a.txt\n\n");
    let reply = ask(&service, asking(Method::GET, &error, &[("range", "bytes=0-1"), ("if-none-match", "*")])).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str(), reply.header("etag")), (404, "0123456789", ""));

    let none = writes("Status: 204 No Content\nX-Sendfile: /d/missing\n\n");
    let reply = get(&service, &none).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str(), reply.header("x-sendfile")), (204, "", ""));
}

#[cfg(unix)]
#[tokio::test]
async fn what_may_not_be_sent_is_a_502_that_tells_nothing() {
    use std::os::unix::fs::symlink;
    log::capture();
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), "topsecret").unwrap();
    fs::create_dir_all(dir.path().join("root/tmp")).unwrap();
    fs::create_dir_all(dir.path().join("d/sub")).unwrap();
    fs::write(dir.path().join("root/tmp/secret"), "topsecret").unwrap();
    fs::write(dir.path().join("secret"), "topsecret").unwrap();
    fs::write(dir.path().join("d/a.txt"), "public").unwrap();
    symlink(outside.path(), dir.path().join("d/out")).unwrap();
    symlink(outside.path().join("secret"), dir.path().join("d/absolute")).unwrap();
    symlink("../secret", dir.path().join("d/relative")).unwrap();
    symlink("a.txt", dir.path().join("d/near")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(dir.path().join("d/fifo")).status().unwrap();
    assert!(made.success());
    let service = builder("raw")
        .map_dir("/", dir.path().join("root"), Access::ReadOnly)
        .map_dir("/d", dir.path().join("d"), Access::ReadWrite)
        .x_sendfile(true)
        .build()
        .unwrap();
    for path in [
        "/d/out/secret",
        "/d/absolute",
        "/d/relative",
        "/d/../secret",
        "/d/sub/../../secret",
        "/../secret",
        "/d/missing",
        "/d/a.txt/x",
        "/d/sub",
        "/d/sub/",
        "/d",
        "/d/fifo",
        "/tmp/secret",
        "d/a.txt",
        "a.txt",
        "",
        "/d/%61.txt",
        "/etc/passwd",
        "/proc/self/environ",
    ] {
        let id = format!("sendfile-refused-{path}");
        let mut request = request(Method::GET, &sends(path), "");
        request.extensions_mut().insert(RequestId::new(id.as_str()));
        let reply = ask(&service, request).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (502, "Bad Gateway"), "{path}");
        assert_eq!((reply.header("x-sendfile"), reply.header("etag")), ("", ""), "{path}");
        let line = log::wait_for(&id, |line| line.field("reason") == "malformed-response").await;
        assert!(line.message().contains(&format!("{path:?}")), "{line:?}");
    }
    let twice = writes("Content-Type: text/plain\nX-Sendfile: /d/a.txt\nX-Sendfile: /d/near\n\n");
    assert_eq!(get(&service, &twice).await.status, 502);
    assert_eq!(
        service.try_call(request(Method::GET, &sends("/e"), "")).await.unwrap_err().kind(),
        ErrorKind::MalformedResponse
    );
    assert_eq!(get(&service, &sends("/d/near")).await.text(), "public");
}

#[tokio::test]
async fn without_the_setting_the_field_is_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.txt"), "content").unwrap();
    let service = builder("raw").map_dir("/d", dir.path(), Access::ReadOnly).build().unwrap();
    let reply = get(&service, &sends("/d/a.txt")).await;
    assert_eq!((reply.text().as_str(), reply.header("x-sendfile")), ("not this", "/d/a.txt"));
}

#[tokio::test]
async fn over_http_the_length_and_the_bytes_agree() {
    let (_dir, service) = sending();
    let server = Server::start(service).await;
    let ask = async |method: &str, fields: &str| {
        let target = sends("/d/a.txt");
        let request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}Connection: close\r\n\r\n");
        server.raw(request.as_bytes()).await.to_lowercase()
    };
    let whole = ask("GET", "").await;
    assert!(whole.starts_with("http/1.1 200") && whole.ends_with("\r\n\r\n0123456789"), "{whole}");
    assert_eq!(whole.matches("content-length: 10\r\n").count(), 1, "{whole}");
    let head = ask("HEAD", "").await;
    assert!(head.contains("content-length: 10\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let part = ask("GET", "Range: bytes=2-3\r\n").await;
    assert!(part.starts_with("http/1.1 206") && part.ends_with("\r\n\r\n23"), "{part}");
    let same = ask("GET", "If-None-Match: *\r\n").await;
    assert!(same.starts_with("http/1.1 304") && same.ends_with("\r\n\r\n"), "{same}");
    assert!(!same.contains("content-length"), "{same}");
}
