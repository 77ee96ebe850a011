//! Files that are no scripts: how they are served.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use http::Method;
use http_body::Body;
use tower::ServiceExt;
use tower_wcgi::{ErrorKind, WcgiService};
use wcgi_tests::{Reply, Server, ask, get, request, settled};

use super::{asking, files, site};
use crate::log;

fn service(dir: &tempfile::TempDir) -> WcgiService {
    site(dir.path(), |site| site).build().unwrap()
}

/// Sets a file's time of change.
fn touch(dir: &tempfile::TempDir, path: &str, time: SystemTime) {
    File::options().write(true).open(dir.path().join(path)).unwrap().set_modified(time).unwrap();
}

#[tokio::test]
async fn the_extension_says_what_a_file_is() {
    let dir = files(&[("index.php", "")]);
    let service = service(&dir);
    for (name, content_type) in [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("A.TXT", "text/plain; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.webp", "image/webp"),
        ("a.woff2", "font/woff2"),
        ("a.avif", "image/avif"),
        ("site.webmanifest", "application/manifest+json"),
        (".well-known/apple-app-site-association", "application/json"),
        ("a.ts", "video/mp2t"),
        ("a.js.map", "application/json"),
        ("a.pdf", "application/pdf"),
        ("a.tar.gz", "application/gzip"),
        ("a.unknown", "application/octet-stream"),
        ("README", "application/octet-stream"),
        (".well-known/security.txt", "text/plain; charset=utf-8"),
    ] {
        super::write(dir.path(), name, "<script>alert(1)</script>");
        let reply = get(&service, &format!("/{name}")).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, content_type), "{name}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{name}");
        assert_eq!(reply.header("accept-ranges"), "bytes");
    }
}

#[tokio::test]
async fn a_file_needs_no_permit_and_no_thread_of_the_guests() {
    let dir = files(&[("large.bin", &"0123456789abcdef".repeat(20_000))]);
    let one = tower_wcgi::Engine::builder().max_concurrency(1).threads(1).queue(0).cache_dir(wcgi_tests::cache_dir());
    let one = one.build().unwrap();
    let spin = WcgiService::builder().package(wcgi_tests::guest("spin")).engine(one.clone()).build().unwrap();
    let busy = tokio::spawn(async move { get(&spin, "/").await });
    wcgi_tests::wait_for_permits(&one, 0).await;
    let service = site(dir.path(), |site| site).engine(one.clone()).build().unwrap();
    let Ok(response) = service.clone().oneshot(request(Method::GET, "/large.bin", "")).await;
    // Neither does the file need the service, once it is open.
    drop(service);
    assert_eq!(response.body().size_hint().exact(), Some(320_000));
    let reply = Reply::read(response).await;
    assert_eq!((reply.status.as_u16(), reply.body.len(), reply.failure), (200, 320_000, None));
    busy.abort();
}

#[tokio::test]
async fn head_is_get_without_the_content() {
    let dir = files(&[("a.txt", "0123456789")]);
    let service = service(&dir);
    let get = settled(&service, "/a.txt").await;
    let head = ask(&service, request(Method::HEAD, "/a.txt", "")).await;
    assert_eq!((head.status, &head.headers, head.text()), (get.status, &get.headers, String::new()));
    assert_eq!(head.header("content-length"), "10");
}

#[tokio::test]
async fn other_methods_are_405_with_what_is_allowed() {
    let dir = files(&[("a.txt", "content"), ("index.php", ""), ("sub/index.html", "")]);
    let service = site(dir.path(), |site| site.fallback("/index.php")).build().unwrap();
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
        for path in ["/a.txt", "/sub/"] {
            let reply = ask(&service, request(method.clone(), path, "body")).await;
            assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, "GET, HEAD"), "{method} {path}");
            assert_eq!(reply.text(), "Method Not Allowed");
        }
        assert_eq!(ask(&service, request(method, "/nope", "body")).await.status, 200, "the fallback's");
    }
    let error = service.try_call(request(Method::POST, "/a.txt", "")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_request()), (ErrorKind::MethodNotAllowed, true));
}

#[tokio::test]
async fn conditions_and_ranges() {
    let dir = files(&[("a.txt", "0123456789")]);
    let service = service(&dir);
    let first = settled(&service, "/a.txt").await;
    let (tag, date) = (first.header("etag"), first.header("last-modified"));
    let long_ago = "Thu, 01 Jan 1970 00:00:00 GMT";
    for (fields, status, text) in [
        (&[("if-none-match", tag)][..], 304, ""),
        (&[("if-none-match", "\"other\"")], 200, "0123456789"),
        (&[("if-modified-since", date)], 304, ""),
        (&[("if-modified-since", long_ago)], 200, "0123456789"),
        (&[("if-none-match", "\"other\""), ("if-modified-since", date)], 200, "0123456789"),
        (&[("if-match", tag)], 200, "0123456789"),
        (&[("if-match", "\"other\"")], 412, ""),
        (&[("if-unmodified-since", long_ago)], 412, ""),
        (&[("range", "bytes=2-4")], 206, "234"),
        (&[("range", "bytes=-2")], 206, "89"),
        (&[("range", "bytes=10-")], 416, ""),
        (&[("range", "bytes=0-1,4-5")], 200, "0123456789"),
        (&[("range", "bytes=2-4"), ("if-range", tag)], 206, "234"),
        (&[("range", "bytes=2-4"), ("if-range", date)], 206, "234"),
        (&[("range", "bytes=2-4"), ("if-range", "\"other\"")], 200, "0123456789"),
    ] {
        let reply = ask(&service, asking(Method::GET, "/a.txt", fields)).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (status, text), "{fields:?}");
        if status == 304 {
            assert_eq!((reply.header("etag"), reply.header("vary")), (tag, "accept-encoding"));
        }
    }
}

/// As a Nix store, a reproducible image or an unpacked archive has it: one time for all files, and one for each release.
#[cfg(unix)]
#[tokio::test]
async fn another_file_of_the_same_size_and_time_is_noticed() {
    use std::time::UNIX_EPOCH;
    for constant in [UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(1), UNIX_EPOCH + Duration::from_secs(1_700_000_000)] {
        let dir = files(&[("a.css", "color: red;"), ("new.css", "color: tan;"), ("edited.css", "color: red;")]);
        for name in ["a.css", "new.css", "edited.css"] {
            touch(&dir, name, constant);
        }
        let service = service(&dir);
        let first = settled(&service, "/a.css").await;
        let tag = first.header("etag").to_owned();
        assert_eq!(first.header("last-modified"), "", "the time says nothing");
        let ask = async |path, fields: &[(&'static str, &str)]| ask(&service, asking(Method::GET, path, fields)).await;
        assert_eq!(ask("/a.css", &[("if-none-match", &tag)]).await.status, 304);

        // Another file in its place.
        fs::rename(dir.path().join("new.css"), dir.path().join("a.css")).unwrap();
        for condition in [("if-none-match", tag.as_str()), ("if-modified-since", "Tue, 14 Nov 2023 22:13:20 GMT")] {
            let reply = ask("/a.css", &[condition]).await;
            assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "color: tan;"), "{condition:?}");
        }
        let continued = ask("/a.css", &[("range", "bytes=7-"), ("if-range", &tag)]).await;
        assert_eq!((continued.status.as_u16(), continued.text().as_str()), (200, "color: tan;"));

        // The same file, written in place.
        let tag = settled(&service, "/edited.css").await.header("etag").to_owned();
        fs::write(dir.path().join("edited.css"), "color: tan;").unwrap();
        touch(&dir, "edited.css", constant);
        let reply = ask("/edited.css", &[("if-none-match", &tag)]).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "color: tan;"));
    }
}

/// Each edit comes right after the last answer: within one tick of the kernel's clock they have the same time.
#[tokio::test]
async fn edits_in_quick_succession_are_all_noticed() {
    let dir = files(&[("a.txt", "000")]);
    let service = service(&dir);
    let mut last = get(&service, "/a.txt").await;
    for n in 1..200 {
        let text = format!("{n:03}");
        fs::write(dir.path().join("a.txt"), &text).unwrap();
        let condition = [("if-none-match", last.header("etag"))];
        let reply = ask(&service, asking(Method::GET, "/a.txt", &condition)).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, text.as_str()), "{n}");
        last = get(&service, "/a.txt").await;
    }
}

#[tokio::test]
async fn compressed_siblings_answer_those_who_can_read_them() {
    let dir = files(&[
        ("a.css", "plain"),
        ("a.css.br", "brotli"),
        ("a.css.gz", "gzip!"),
        ("b.css", "plain"),
        ("b.css.zst", "zstd"),
        ("photo.png", "plain"),
        ("photo.png.gz", "not this"),
        ("sub/index.html", "plain"),
        ("sub/index.html.gz", "gzipped"),
    ]);
    let service = service(&dir);
    for (path, accepts, coding, text) in [
        ("/a.css", "gzip, deflate, br, zstd", "br", "brotli"),
        ("/a.css", "gzip", "gzip", "gzip!"),
        ("/a.css", "br;q=0, gzip", "gzip", "gzip!"),
        ("/a.css", "zstd", "", "plain"),
        ("/a.css", "", "", "plain"),
        ("/b.css", "gzip, br, zstd", "zstd", "zstd"),
        ("/sub/", "gzip", "gzip", "gzipped"),
    ] {
        let reply = ask(&service, asking(Method::GET, path, &[("accept-encoding", accepts)])).await;
        let got = (reply.status.as_u16(), reply.header("content-encoding"), reply.text());
        assert_eq!(got, (200, coding, text.to_owned()), "{path} {accepts}");
        assert_eq!(reply.header("vary"), "accept-encoding");
        let kind = if path == "/sub/" { "text/html; charset=utf-8" } else { "text/css; charset=utf-8" };
        assert_eq!((reply.header("content-type"), reply.header("content-length")), (kind, &*text.len().to_string()));
    }
    let image = ask(&service, asking(Method::GET, "/photo.png", &[("accept-encoding", "gzip")])).await;
    assert_eq!((image.text().as_str(), image.header("content-encoding"), image.header("vary")), ("plain", "", ""));
    // As themselves they are what they are.
    let itself = get(&service, "/a.css.gz").await;
    assert_eq!((itself.header("content-type"), itself.header("content-encoding")), ("application/gzip", ""));
}

/// Its name says that it is compressed, and a browser shows it by nothing else.
#[tokio::test]
async fn a_compressed_picture_has_its_coding() {
    let dir = files(&[("a.svgz", "gzipped"), ("a.svgz.br", "twice"), ("b.SVGZ", "gzipped")]);
    let service = service(&dir);
    for (path, accepts) in [("/a.svgz", "gzip, br"), ("/a.svgz", "br"), ("/a.svgz", ""), ("/b.SVGZ", "gzip")] {
        let reply = ask(&service, asking(Method::GET, path, &[("accept-encoding", accepts)])).await;
        let got = (reply.header("content-type"), reply.header("content-encoding"), reply.text());
        assert_eq!(got, ("image/svg+xml", "gzip", "gzipped".to_owned()), "{path} {accepts}");
    }
}

/// Different bytes have different tags, even where size and time are the same.
#[tokio::test]
async fn each_coding_has_a_tag_of_its_own() {
    let dir = files(&[("a.css", "12345"), ("a.css.br", "abcde"), ("a.css.gz", "ABCDE")]);
    let time = SystemTime::now() - Duration::from_secs(60);
    for name in ["a.css", "a.css.br", "a.css.gz"] {
        touch(&dir, name, time);
    }
    let service = service(&dir);
    settled(&service, "/a.css.gz").await;
    let ask = async |accepts, fields: &[(&'static str, &str)]| {
        ask(&service, asking(Method::GET, "/a.css", &[&[("accept-encoding", accepts)], fields].concat())).await
    };
    let mut tags = Vec::new();
    for accepts in ["identity", "br", "gzip"] {
        let reply = ask(accepts, &[]).await;
        let tag = reply.header("etag").to_owned();
        assert_eq!(ask(accepts, &[("if-none-match", &tag)]).await.status, 304);
        let part = ask(accepts, &[("range", "bytes=1-2"), ("if-range", &tag)]).await;
        assert_eq!((part.status.as_u16(), part.body.as_ref()), (206, &reply.body[1..3]));
        assert!(!tags.contains(&tag));
        tags.push(tag);
    }
    let mixed = ask("gzip", &[("range", "bytes=1-2"), ("if-range", &tags[1])]).await;
    assert_eq!((mixed.status.as_u16(), mixed.text().as_str()), (200, "ABCDE"), "no parts of different codings");
    assert_eq!(ask("gzip", &[("if-none-match", &tags[0])]).await.status, 200);
}

#[tokio::test]
async fn a_sibling_older_than_its_file_is_not_used() {
    let dir = files(&[("a.css", "edited"), ("a.css.gz", "stale"), ("a.css.br", "fresh")]);
    let now = SystemTime::now() - Duration::from_secs(60);
    touch(&dir, "a.css", now);
    touch(&dir, "a.css.gz", now - Duration::from_secs(2));
    touch(&dir, "a.css.br", now);
    let service = service(&dir);
    let ask =
        async |accepts| ask(&service, asking(Method::GET, "/a.css", &[("accept-encoding", accepts)])).await.text();
    assert_eq!((ask("gzip").await.as_str(), ask("gzip, br").await.as_str()), ("edited", "fresh"));
}

#[tokio::test]
async fn a_file_that_shrinks_meanwhile_fails_the_body() {
    log::capture();
    let dir = files(&[("large.txt", &"x".repeat(300_000))]);
    let mut request = request(Method::GET, "/large.txt", "");
    request.extensions_mut().insert(tower_wcgi::RequestId::new("static-shrinks"));
    let Ok(response) = service(&dir).oneshot(request).await;
    fs::write(dir.path().join("large.txt"), "short now").unwrap();
    let reply = Reply::read(response).await;
    assert_eq!((reply.status.as_u16(), reply.failure), (200, Some(ErrorKind::Host)));
    log::wait_for("static-shrinks", |line| line.field("reason") == "host").await;
}

#[tokio::test]
async fn over_http_the_length_and_the_bytes_agree() {
    let large = "0123456789abcdef".repeat(10_000);
    let dir = files(&[("large.txt", &large), ("empty.txt", "")]);
    let server = Server::start(service(&dir)).await;
    let whole = server.get("/large.txt").await;
    assert!(whole.contains("content-length: 160000\r\n") && whole.ends_with(&format!("\r\n\r\n{large}")));
    let empty = server.get("/empty.txt").await;
    assert!(empty.contains("content-length: 0\r\n") && empty.ends_with("\r\n\r\n"), "{empty}");
    // What a client goes on to send with a method that is not allowed does not cut the answer off.
    let body = "x".repeat(1 << 20);
    let head =
        format!("PUT /large.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let refused = server.raw(format!("{head}{body}").as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 405") && refused.ends_with("Method Not Allowed"), "{refused}");
}

/// A URL's path is bytes, and so is a file's name.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_name_that_is_not_utf8_is_served_by_its_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = files(&[("index.php", ""), ("a.txt", "")]);
    let sub = dir.path().join(OsStr::from_bytes(b"d\xe9"));
    fs::create_dir_all(sub.join(".git")).unwrap();
    for (name, content) in [
        (&b"caf\xe9.txt"[..], "latin"),
        (b"d\xe9/\xff.html", "deep"),
        (b"d\xe9/index.html", "index"),
        (b"d\xe9/a.php", "source"),
        (b"a.php\xe9", "source"),
        (b"\xe9.php", "source"),
        (b".\xe9", "hidden"),
        (b"d\xe9/.git/a", "hidden"),
    ] {
        fs::write(dir.path().join(OsStr::from_bytes(name)), content).unwrap();
    }
    let service = service(&dir);
    for (target, expected) in [
        ("/caf%E9.txt", "200 latin"),
        ("/caf%e9.txt", "200 latin"),
        ("/d%E9/%FF.html", "200 deep"),
        ("/d%E9/", "200 index"),
        ("/d%E9", "301 /d%E9/"),
        ("/caf%C3%A9.txt", "404 Not Found"),
        ("/caf%EF%BF%BD.txt", "404 Not Found"),
        ("/d%E9/a.php", "404 Not Found"),
        ("/a.php%E9", "404 Not Found"),
        ("/%E9.php", "404 Not Found"),
        ("/.%E9", "404 Not Found"),
        ("/d%E9/.git/a", "404 Not Found"),
    ] {
        assert_eq!(super::summary(&get(&service, target).await), expected, "{target}");
    }
    assert_eq!(get(&service, "/caf%E9.txt").await.header("content-type"), "text/plain; charset=utf-8");
}
