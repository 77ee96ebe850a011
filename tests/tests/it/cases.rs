//! Cases that other gateways test and the contract's own tests do not have; `CASES.md` says which come from where.

use http::StatusCode;
use tokio::io::AsyncWriteExt;
use wcgi_tests::{Server, builder, read_until, service, wait_for_permits};

use crate::wire::{Answer, ask, encode, get, send};

/// A chunked POST to `count`, its body as given.
async fn chunked(server: &Server, body: &str) -> Answer {
    let head = "POST /?post-len HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\nTrailer: Test-Trailer\r\n\
        Transfer-Encoding: chunked\r\n\r\n";
    send(server, [head, body].concat()).await
}

#[tokio::test]
async fn a_chunked_post_is_read_whole() {
    let server = Server::start(service("count")).await;
    for (body, bytes) in [
        ("a\r\n0123456789\r\n0\r\n\r\n", 10),
        ("A\r\n0123456789\r\n0\r\n\r\n", 10),
        ("10\r\n0123456789abcdef\r\n0\r\n\r\n", 16),
        ("a; comment\r\n0123456789\r\n0\r\n\r\n", 10),
        ("a\r\n0123456789\r\n0; comment\r\n\r\n", 10),
        ("a\r\n0123456789\r\n0\r\nTest-Trailer: testing\r\n\r\n", 10),
        ("7\r\npostfoo\r\n1\r\n=\r\n7\r\npostbar\r\n0\r\n\r\n", 15),
    ] {
        let answer = chunked(&server, body).await;
        assert_eq!(answer.text(), format!("bytes={bytes}\ncontent_length={bytes}\n"), "{body:?}");
    }
}

#[tokio::test]
async fn a_malformed_chunked_post_is_400_and_never_reaches_the_script() {
    let count = service("count");
    let server = Server::start(count.clone()).await;
    for body in [
        "az\r\n0123456789\r\n0\r\n\r\n",
        "a\r\n0123456789xxxxxxxx\r\n0\r\n\r\n",
        "a;\rx\r\n0123456789\r\n0\r\n\r\n",
        "-a\r\n0123456789\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n0123456789\r\n0\r\n\r\n",
        &format!("a; {}\r\n0123456789\r\n0\r\n\r\n", "x".repeat(64 << 10)),
    ] {
        chunked(&server, body).await.expect_only(StatusCode::BAD_REQUEST);
    }
    wait_for_permits(count.engine(), 16).await;
}

/// CGI has no place for trailers; one must not come in as if a proxy had checked it as a header.
#[tokio::test]
async fn a_trailer_becomes_no_variable() {
    let answer = chunked(&Server::start(service("env")).await, "1\r\nx\r\n0\r\nTest-Trailer: testing\r\n\r\n").await;
    assert_eq!(answer.variable("CONTENT_LENGTH").unwrap(), "1");
    assert!(!answer.text().contains("TRAILER") && !answer.text().contains("testing"), "{}", answer.text());
}

#[tokio::test]
async fn a_host_that_is_none_is_400() {
    let server = Server::start(service("env")).await;
    for host in [
        "../123.org",
        ".jsdh.sfdg.sdfg.",
        "jsdh..sfdg.sdfg",
        "jsdh.sfdg.sdfg:asd",
        "jsdh.sfdg.sdfg:-1",
        "jsdh.sfdg.sdfg:65536",
        ":80",
        ".",
        "[::1]' UNION SELECT '/",
        "[::1]/../../../",
        "[::1",
        "user@host",
        "a/b",
        "a\\b",
        "a b",
    ] {
        let answer = send(&server, format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{host}: {}", answer.text());
    }
    for (host, name) in [("a.b-c.d123", "a.b-c.d123"), ("jsdh.sfdg.sdfg.", "jsdh.sfdg.sdfg."), ("[::1]:80", "[::1]")] {
        let answer = send(&server, format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(answer.variable("SERVER_NAME").as_deref(), Some(name));
    }
}

#[tokio::test]
async fn similar_header_names_are_different_variables() {
    let fields = "X-Same2: other\r\nX-Same: one\r\nX-Sam: less\r\nIf-Modified-Since2: a\r\nIf-Modified-Since: b\r\n";
    let answer = ask(&Server::start(service("env")).await, "GET", "/", fields).await;
    for (name, value) in [("X_SAME", "one"), ("X_SAME2", "other"), ("X_SAM", "less"), ("IF_MODIFIED_SINCE", "b")] {
        assert_eq!(answer.variable(&format!("HTTP_{name}")).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_connection_header_with_empty_members_names_nothing() {
    let server = Server::start(service("env")).await;
    for options in [",close", "close,,TE", "close, ,TE", "close,", "close, "] {
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: {options}\r\nX-A: 1\r\n\r\n");
        let answer = send(&server, head).await;
        assert_eq!(answer.variable("HTTP_X_A").as_deref(), Some("1"), "{options}");
    }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_a_request() {
    let server = Server::start(service("hello")).await;
    let mut stream = server.connect().await;
    stream.set_nodelay(true).unwrap();
    for byte in b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" {
        stream.write_all(&[*byte]).await.unwrap();
    }
    read_until(&mut stream, "Hello, World!\n").await;
}

/// What once crashed a server: line ends after a head of mixed line ends.
#[tokio::test]
async fn line_ends_after_a_redirects_head_are_its_dropped_body() {
    let server = Server::start(service("raw")).await;
    let answer = get(&server, &format!("/?{}", encode("Location: http://www.example.org/\r\n\n\n"))).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::FOUND, "http://www.example.org/"));
    assert_eq!(answer.body.len(), 0);
}

#[tokio::test]
async fn status_alone_is_a_response() {
    let server = Server::start(service("raw")).await;
    for (status, body) in [(200, "send"), (404, "send404\n"), (500, "")] {
        let answer = get(&server, &format!("/?{}", encode(format!("Status: {status} FooBar\r\n\r\n{body}")))).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, body));
    }
    get(&server, &format!("/?{}", encode("Status: 30 FooBar\r\n\r\n"))).await.expect_only(StatusCode::BAD_GATEWAY);
}

/// `Content-Length: 0` and no length at all are no body, and the script finds its end at once.
#[tokio::test]
async fn a_post_without_a_body_has_an_empty_one() {
    let server = Server::start(service("count")).await;
    for fields in ["", "Content-Length: 0\r\n"] {
        let answer = ask(&server, "POST", "/?nil-request-body=1", fields).await;
        assert_eq!(answer.text(), "bytes=0\ncontent_length=unset\n");
    }
}

#[tokio::test]
async fn a_script_that_writes_for_ever_ends_with_its_reader() {
    let flood = builder("flood").deadline(None).build().unwrap();
    let server = Server::start(flood.clone()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /?write-forever=1 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut vec![0; 50 << 10]).await.unwrap();
    assert_eq!(flood.engine().available_permits(), 15, "it still writes");
    drop(stream);
    wait_for_permits(flood.engine(), 16).await;
}
