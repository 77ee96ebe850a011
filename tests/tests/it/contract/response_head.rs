//! The response head: what a script writes before its blank line, and what the client gets of it.

use http::StatusCode;
use tower_wcgi::WcgiService;
use wcgi_tests::{Server, builder, engine, get as get_service, service, wait_for_permits};

use crate::wire::{Answer, ask, encode, get, post, send, send2};

/// What the client gets when the script writes `output`, which must not depend on how many writes that takes.
async fn said(server: &Server, output: impl AsRef<[u8]>) -> Answer {
    let encoded = encode(output);
    let whole = get(server, &format!("/?{encoded}")).await;
    for chunk in [1, 7] {
        let split = get(server, &format!("/?chunk={chunk}&data={encoded}")).await;
        assert_eq!((split.status, &split.body, split.whole), (whole.status, &whole.body, whole.whole), "{encoded}");
        for (name, value) in whole.headers.iter().filter(|(name, _)| !framing(name)) {
            assert!(split.all(name).contains(&value.as_str()), "{name}: {value} in {encoded}");
        }
    }
    whole
}

/// Which of a response's headers may differ with the chunking of its body.
fn framing(name: &str) -> bool {
    matches!(name, "date" | "content-length" | "transfer-encoding")
}

async fn raw() -> Server {
    Server::start(service("raw")).await
}

#[track_caller]
fn expect_bad_gateway(answer: &Answer) {
    answer.expect_only(StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn content_type_and_body_is_a_200_document() {
    let answer = said(&raw().await, "Content-Type: text/html\n\n<p>\n\nbody").await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "text/html"));
    assert_eq!((answer.text().as_str(), answer.whole), ("<p>\n\nbody", true));
}

#[tokio::test]
async fn status_is_the_scripts() {
    let server = raw().await;
    for (field, status) in [("404 Not Found", 404), ("500", 500), ("299 Odd", 299), ("451 \u{e9}", 451)] {
        let answer = said(&server, format!("Status: {field}\nContent-Type: text/plain\n\nbody")).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, "body"), "{field}");
        assert!(!answer.has("status"), "Status is the gateway's");
    }
}

#[tokio::test]
async fn an_invalid_status_is_502() {
    let server = raw().await;
    for field in ["", "OK", "20", "2000", "099", "100 Continue", "101 Switching Protocols", "600", "-200"] {
        expect_bad_gateway(&said(&server, format!("Status: {field}\nContent-Type: a/b\n\nbody")).await);
    }
    expect_bad_gateway(&said(&server, "Status: 200\nStatus: 404\nContent-Type: a/b\n\nbody").await);
}

#[tokio::test]
async fn an_absolute_location_alone_is_302_with_an_empty_body() {
    let server = raw().await;
    for location in ["http://example.com/x", "https://example.com", "//host/x"] {
        let answer = said(&server, format!("Location: {location}\n\ndropped")).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::FOUND, location));
        assert_eq!((answer.body.len(), answer.whole), (0, true));
    }
}

#[tokio::test]
async fn a_location_with_status_and_body_is_as_said() {
    let head = "Status: 301 Moved\nLocation: http://example.com/\nContent-Type: text/plain\n\nmoved";
    let answer = said(&raw().await, head).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (301, "http://example.com/"));
    assert_eq!(answer.text(), "moved");
    let created = said(&raw().await, "Status: 201 Created\nLocation: /new\nContent-Type: a/b\n\nmade").await;
    assert_eq!((created.status.as_u16(), created.header("location"), created.text().as_str()), (201, "/new", "made"));
}

/// The POST's body and type are not the redirected request's, and nothing of the first response is seen.
#[tokio::test]
async fn a_local_location_alone_runs_a_get_of_that_path() {
    let server = Server::start(builder("redirect").mount("/app").build().unwrap()).await;
    for method in ["GET", "POST"] {
        let fields = "Content-Type: a/b\r\nContent-Length: 0\r\nCookie: kept=1\r\n";
        let answer = ask(&server, method, "/app/x?to=/app/y%2520z%3Fq=%25411", fields).await;
        assert_eq!(answer.status, StatusCode::OK);
        for (name, value) in [
            ("REQUEST_METHOD", Some("GET")),
            ("SCRIPT_NAME", Some("/app")),
            ("PATH_INFO", Some("/y z")),
            ("QUERY_STRING", Some("q=%411")),
            ("REQUEST_URI", Some("/app/y%20z?q=%411")),
            ("HTTP_COOKIE", Some("kept=1")),
            ("CONTENT_TYPE", None),
            ("CONTENT_LENGTH", None),
            ("body", Some("0")),
        ] {
            assert_eq!(answer.variable(name).as_deref(), value, "{method} {name}");
        }
        assert!(!answer.text().contains("nobody should see this") && !answer.has("location"));
    }
    let posted = post(&server, "/app/x?to=/app/y", "a body").await;
    assert_eq!((posted.variable("body").unwrap(), posted.variable("CONTENT_LENGTH")), ("0".to_owned(), None));
}

#[tokio::test]
async fn ten_local_redirects_are_followed_and_not_eleven() {
    let server = Server::start(service("redirect")).await;
    let to = |hops| (0..hops).fold("/end".to_owned(), |target, _| format!("/?to={}", encode(target)));
    let tenth = get(&server, &to(10)).await;
    assert_eq!((tenth.status, tenth.variable("PATH_INFO").as_deref()), (StatusCode::OK, Some("/end")));
    expect_bad_gateway(&get(&server, &to(11)).await);
}

#[tokio::test]
async fn a_local_redirect_to_itself_ends_after_ten() {
    let dir = tempfile::tempdir().unwrap();
    let module = dir.path().join("loop.wat");
    std::fs::write(&module, LOOP).unwrap();
    let service = WcgiService::builder().package(&module).engine(engine().build().unwrap()).build().unwrap();
    expect_bad_gateway(&get(&Server::start(service.clone()).await, "/loop").await);
    wait_for_permits(service.engine(), 16).await;
}

#[tokio::test]
async fn a_local_redirect_never_leaves_the_mount() {
    let server = Server::start(builder("redirect").mount("/app").build().unwrap()).await;
    for to in [
        "/",
        "/native",
        "/apple",
        "/app/../native",
        "/app/%2e%2e/native",
        "/app%2f../x",
        "/app/..%5c..%5cx",
        "/app/%00",
    ] {
        expect_bad_gateway(&get(&server, &format!("/app?to={}", encode(to))).await);
    }
}

#[tokio::test]
async fn repeated_headers_all_reach_the_client() {
    let head = "Content-Type: a/b\nSet-Cookie: a=1\nX-A: 1\nSet-Cookie: b=2; Path=/\nX-A: 2\nSet-Cookie: a=1\n\nx";
    let answer = said(&raw().await, head).await;
    assert_eq!(answer.all("set-cookie"), ["a=1", "b=2; Path=/", "a=1"]);
    assert_eq!(answer.all("x-a"), ["1", "2"]);
}

#[tokio::test]
async fn line_ends_are_lf_or_crlf_for_every_chunking() {
    let server = raw().await;
    for end in ["\n", "\r\n"] {
        let head = ["Content-Type: a/b", "X-A: 1", "Status: 201 Made", "", "body\r\n\n"].join(end);
        let answer = said(&server, head).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-a"), answer.text().as_str()), (201, "1", "body\r\n\n"));
    }
    let mixed = said(&server, "Content-Type: a/b\r\nX-A: 1\n\r\nbody").await;
    assert_eq!((mixed.header("x-a"), mixed.text().as_str()), ("1", "body"));
}

#[tokio::test]
async fn a_malformed_head_is_502_and_nothing_of_it_leaks() {
    let server = raw().await;
    for output in [
        "Content-Type: a/b\nX-Leak: 1",
        "Content-Type: a/b\nX-Leak: 1\n",
        "\n\nbody",
        "\nContent-Type: a/b\n\nbody",
        "no colon\nContent-Type: a/b\n\nbody",
        "Content-Type: a/b\nno colon\n\nbody",
        "HTTP/1.1 200 OK\nContent-Type: a/b\n\nbody",
        "Content-Type: a/b\nX-Leak: a\rb\n\nbody",
        "Content-Type: a/b\nX-Leak: a\0b\n\nbody",
        "Content-Type: a/b\nX-Leak: a\n folded\n\nbody",
        "Content-Type: a/b\nX-Leak: a\n\tfolded\n\nbody",
        "Content-Type: a/b\nX Leak: 1\n\nbody",
        "Content-Type: a/b\nX-Leak : 1\n\nbody",
        "Content-Type: a/b\n: 1\n\nbody",
        "Content-Type: a/b\n(x): 1\n\nbody",
        "Content-Type: a/b\nX-\u{e9}: 1\n\nbody",
        "Content-Type: a/b\nContent-Type: a/b\n\nbody",
        "Location: http://a/\nLocation: http://b/\n\nbody",
        "Location:\n\nbody",
    ] {
        expect_bad_gateway(&said(&server, output).await);
    }
}

#[tokio::test]
async fn empty_output_is_502() {
    let server = Server::start(service("exit")).await;
    expect_bad_gateway(&get(&server, "/?when=before").await);
}

#[tokio::test]
async fn a_head_over_its_limits_is_502() {
    let server = raw().await;
    let long = |bytes: usize| {
        let start = "Content-Type: a/b\nX-Long: ";
        format!("{start}{}\n\n", "x".repeat(bytes - start.len() - 2))
    };
    let many = |fields: usize| format!("Content-Type: a/b\n{}\n", "X-Many: 1\n".repeat(fields - 1));
    for (within, over) in [(long(64 << 10), long((64 << 10) + 1)), (many(128), many(129))] {
        let answer = post(&server, "/", within).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
        expect_bad_gateway(&post(&server, "/", over).await);
    }
}

#[tokio::test]
async fn a_head_without_content_type_location_and_status_is_502() {
    let server = raw().await;
    for output in ["X-Leak: 1\n\nbody", "Content-Length: 4\n\nbody", "Set-Cookie: a=1\n\nbody"] {
        expect_bad_gateway(&said(&server, output).await);
    }
}

#[tokio::test]
async fn hop_by_hop_fields_are_dropped() {
    let head = "Content-Type: a/b\nConnection: x-named\nX-Named: 1\nKeep-Alive: 5\nProxy-Connection: close\n\
        Transfer-Encoding: gzip, chunked\nUpgrade: websocket\nTrailer: X\nTE: trailers\nX-Kept: 1\n\nbody";
    let server = raw().await;
    let answer = said(&server, head).await;
    for name in ["keep-alive", "proxy-connection", "upgrade", "trailer", "te", "x-named"] {
        assert!(!answer.has(name), "{name}");
    }
    assert_ne!(answer.header("connection"), "x-named");
    assert_ne!(answer.header("transfer-encoding"), "gzip, chunked");
    assert_eq!((answer.header("x-kept"), answer.text().as_str()), ("1", "body"));

    let uri = format!("http://x/?{}", encode(head));
    let answer = send2(&server, http::Request::get(uri).body(()).unwrap(), &[]).await;
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "trailer", "te"] {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
    assert_eq!((answer.status, &*answer.body, answer.reset), (StatusCode::OK, b"body".as_slice(), None));
}

#[tokio::test]
async fn content_length_is_kept() {
    let answer = said(&raw().await, "Content-Type: a/b\nContent-Length: 4\n\nbody").await;
    assert_eq!((answer.header("content-length"), answer.text().as_str(), answer.whole), ("4", "body", true));
    assert!(!answer.has("transfer-encoding"));
}

#[tokio::test]
async fn output_longer_than_its_content_length_is_cut_and_logged() {
    crate::log::capture();
    let server = raw().await;
    let output = encode("Content-Type: a/b\nContent-Length: 4\n\nbodyHTTP/1.1 200 OK\r\n\r\n");
    for (n, query) in [output.clone(), format!("chunk=1&data={output}")].into_iter().enumerate() {
        let id = format!("longer-{n}");
        let answer = ask(&server, "GET", &format!("/?{query}"), &format!("X-Request-Id: {id}\r\n")).await;
        assert_eq!((answer.status, answer.text().as_str(), answer.whole), (StatusCode::OK, "body", true));
        crate::log::wait_for(&id, |line| line.message().contains("Content-Length")).await;
    }
}

#[tokio::test]
async fn output_shorter_than_its_content_length_ends_with_an_error() {
    let server = raw().await;
    let short = encode("Content-Type: a/b\nContent-Length: 10\n\nbody");
    let answer = get(&server, &format!("/?{short}")).await;
    assert_eq!((answer.header("content-length"), answer.text().as_str(), answer.whole), ("10", "body", false));
    let request = http::Request::get(format!("http://x/?{short}")).body(()).unwrap();
    let answer = send2(&server, request, &[]).await;
    assert!(answer.reset.is_some(), "{answer:?}");
}

#[tokio::test]
async fn two_different_content_lengths_are_502() {
    let server = raw().await;
    for fields in
        ["Content-Length: 4\nContent-Length: 5", "Content-Length: 4, 5", "Content-Length: -4", "Content-Length: 4x"]
    {
        expect_bad_gateway(&said(&server, format!("Content-Type: a/b\n{fields}\n\nbody")).await);
    }
}

#[tokio::test]
async fn head_runs_the_script_and_drops_the_body() {
    let service = service("raw");
    let server = Server::start(service.clone()).await;
    for (fields, length) in [("", ""), ("Content-Length: 4\n", "4")] {
        let target = format!("/?{}", encode(format!("Content-Type: a/b\nX-A: 1\n{fields}\nbody")));
        let answer = ask(&server, "HEAD", &target, "").await;
        assert_eq!(
            (answer.status, answer.header("x-a"), answer.header("content-length")),
            (StatusCode::OK, "1", length)
        );
        assert!(answer.whole && answer.body.is_empty());
    }
    // The connection can be used on, so no byte of a body came.
    let twice = "HEAD /?Content-Type:%20a/b%0A%0Abody HTTP/1.1\r\nHost: x\r\n\r\n\
        HEAD /?Status:%20404%0A%0Abody HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let both = server.raw(twice.as_bytes()).await;
    assert!(both.matches("HTTP/1.1 ").count() == 2 && !both.contains("body"), "{both}");
    wait_for_permits(service.engine(), 16).await;
}

/// Whatever the deadline: the client has all it will get, and nobody could free the slot any more.
#[tokio::test]
async fn head_of_an_endless_script_gives_its_permit_back() {
    let service = builder("flood").deadline(None).build().unwrap();
    let server = Server::start(service.clone()).await;
    let answer = ask(&server, "HEAD", "/", "").await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
    wait_for_permits(service.engine(), 16).await;
}

#[tokio::test]
async fn no_body_with_204_and_304() {
    let server = raw().await;
    for status in [204, 304] {
        let answer = said(&server, format!("Status: {status}\nX-A: 1\nETag: \"e\"\n\nbody")).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-a"), answer.header("etag")), (status, "1", "\"e\""));
        assert!(answer.whole && answer.body.is_empty() && !answer.has("transfer-encoding"), "{answer:?}");
    }
    let both = "GET /?Status:%20204%0A%0Abody HTTP/1.1\r\nHost: x\r\n\r\n\
        GET /?Status:%20304%0AContent-Length:%209%0A%0Abody HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let both = server.raw(both.as_bytes()).await;
    assert!(both.matches("HTTP/1.1 ").count() == 2 && !both.contains("body"), "{both}");
}

/// What is not asked for stays a header like any other: it reads no file.
#[tokio::test]
async fn x_sendfile_does_nothing_unless_it_is_switched_on() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret"), "topsecret").unwrap();
    let raw = builder("raw").map_dir("/d", dir.path(), tower_wcgi::Access::ReadOnly).build().unwrap();
    let target = format!("/?{}", encode("Content-Type: a/b\nX-Sendfile: /d/secret\n\nbody"));
    assert_eq!(get_service(&raw, &target).await.text(), "body");
}

/// A proxy that reads two heads for one would be answered with the second one's body.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = raw().await;
    let requests: String = (0..5)
        .map(|n| {
            let close = if n == 4 { "Connection: close\r\n" } else { "" };
            format!("GET /?Content-Type:%20a/b%0A%0A[{n}] HTTP/1.1\r\nHost: x\r\n{close}\r\n")
        })
        .collect();
    let answers = server.raw(requests.as_bytes()).await;
    let found: Vec<_> = (0..5).map(|n| answers.find(&format!("[{n}]")).unwrap()).collect();
    assert!(found.is_sorted(), "{answers}");
    assert!(send(&server, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.status.is_server_error());
}

/// Redirects every request to the path it came with.
const LOOP: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\11\00\00\00")
  (data (i32.const 16) "Location: /loop\0a\0a")
  (func (export "_start") (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
