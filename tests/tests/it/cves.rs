//! What others had to learn from their CVEs, one test for each, by a client's view over a real connection.
//!
//! Those about sites of many files are in `site::source` and `site::hidden`. Here a single script
//! answers: the path reaches it undamaged or is refused.

use std::fs;
use std::time::Duration;

use axum::Router;
use axum::routing::get as native;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_wcgi::{Access, WcgiService};
use wcgi_tests::{Server, builder, engine, guest, read_until, service, wait_for_permits};

use crate::wire::{ask, encode, get, post, send, send2};

/// A header of the client's must not become the variable that tells programs which proxy to use.
#[tokio::test]
async fn cve_2016_5385_httpoxy() {
    let server = Server::start(service("env")).await;
    for name in ["Proxy", "proxy", "PROXY"] {
        let answer = ask(&server, "GET", "/", &format!("{name}: http://evil/\r\n")).await;
        assert_eq!((answer.variable("HTTP_PROXY"), answer.text().contains("evil")), (None, false));
    }
    let request = http::Request::get("http://x/").header("proxy", "http://evil/").body(()).unwrap();
    assert_eq!(send2(&server, request, &[]).await.variable("HTTP_PROXY"), None);
}

#[tokio::test]
async fn cve_2012_1823_a_query_is_no_arguments() {
    let server = Server::start(service("args")).await;
    for query in ["-s", "-d+allow_url_include%3d1+-d+auto_prepend_file%3dphp://input", "-n", "--version", "a+b", "+-s"]
    {
        assert_eq!(get(&server, &format!("/?{query}")).await.text(), "argc=1\nargs\n", "{query}");
    }
}

/// A soft hyphen is no hyphen, whatever a code page makes of it.
#[tokio::test]
async fn cve_2024_4577_a_soft_hyphen_is_no_argument_either() {
    let server = Server::start(service("args")).await;
    for query in ["%ADs", "%ADd+allow_url_include%3d1", "%AD%AD"] {
        assert_eq!(get(&server, &format!("/?{query}")).await.text(), "argc=1\nargs\n", "{query}");
    }
    let env = Server::start(service("env")).await;
    assert_eq!(get(&env, "/?%ADs").await.variable("QUERY_STRING").unwrap(), "%ADs");
}

/// Two headers that would be one variable: only the one a proxy sets counts.
#[tokio::test]
async fn underscore_headers_are_no_other_headers() {
    let fields = "X-Forwarded-For: proxy\r\nX_Forwarded_For: evil\r\nX-Forwarded_For: evil\r\nX.Real.IP: evil\r\n\
        X-Real-IP: proxy\r\nContent_Length: 5\r\nHTTP_HOST: evil\r\n";
    let answer = ask(&Server::start(service("env")).await, "GET", "/", fields).await;
    for name in ["HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP"] {
        assert_eq!(answer.variable(name).as_deref(), Some("proxy"));
    }
    assert!(!answer.text().contains("evil") && answer.variable("CONTENT_LENGTH").is_none(), "{}", answer.text());
}

#[tokio::test]
async fn cve_2024_42516_response_splitting() {
    splits_nothing("Content-Type: text/html").await;
}

#[tokio::test]
async fn cve_2023_38709_response_splitting() {
    splits_nothing("X-Any: a").await;
}

/// Whatever follows a field's value, it becomes no other field and no other response.
async fn splits_nothing(field: &str) {
    let server = Server::start(service("raw")).await;
    for evil in ["\rSet-Cookie: evil=1", "\r\r\n\r\n<script>", "\0\nSet-Cookie: evil=1", "\r\n\tSet-Cookie: evil=1"] {
        let answer = get(&server, &format!("/?{}", encode(format!("Status: 200\n{field}{evil}\n\nbody")))).await;
        answer.expect_only(StatusCode::BAD_GATEWAY);
    }
}

/// How a response is framed is not the script's to say.
#[tokio::test]
async fn cve_2024_24795_framing_is_not_the_scripts() {
    let server = Server::start(service("raw")).await;
    for fields in [
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked\nContent-Length: 100",
        "Connection: content-length\nContent-Length: 3",
    ] {
        let output = format!("Content-Type: a/b\n{fields}\n\n0\r\n\r\nHTTP/1.1 200 OK\r\nX-Evil: 1\r\n\r\n");
        let first = format!("GET /?{} HTTP/1.1\r\nHost: x\r\n\r\n", encode(output));
        let mut stream = server.connect().await;
        stream.write_all(first.as_bytes()).await.unwrap();
        stream.write_all(b"GET /?Status:%20418%0A%0A HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
        let all = String::from_utf8_lossy(&all);
        let head = all.split("\r\n\r\n").next().unwrap();
        assert!(!head.contains("X-Evil"), "{all}");
        assert!(!(head.contains("transfer-encoding") && head.contains("content-length")), "{all}");
    }
    for fields in ["Transfer-Encoding : chunked", "Content-Length: 3\nContent-Length: 4", "Content-Length: 3, 4"] {
        let output = format!("Content-Type: a/b\n{fields}\n\nbody");
        get(&server, &format!("/?{}", encode(output))).await.expect_only(StatusCode::BAD_GATEWAY);
    }
}

/// A name of a host is no path of ours, however it is spelled.
#[tokio::test]
async fn cve_2024_38473_a_redirect_to_a_host_is_the_clients() {
    let server = Server::start(service("raw")).await;
    for location in ["//host", "//host/x", "///host", "http://host/", "/\\host"] {
        let answer = get(&server, &format!("/?{}", encode(format!("Location: {location}\n\n")))).await;
        let told = answer.status == StatusCode::FOUND && answer.header("location") == location;
        assert!(told || answer.status == StatusCode::BAD_GATEWAY, "{location}: {answer:?}");
    }
}

/// A local redirect runs the same script and nothing else: no native route, however the path is spelled, and not for ever.
#[tokio::test]
async fn cve_2024_38476_a_local_redirect_stays_with_the_script() {
    let redirect = service("redirect");
    let app = Router::new().route("/native", native(|| async { "native" })).nest_service("/app", redirect.clone());
    let server = Server::start(app).await;
    for to in ["/native", "/app/../native", "/app/%2e%2e/native", "/app/..%2fnative", "/application"] {
        get(&server, &format!("/app?to={}", encode(to))).await.expect_only(StatusCode::BAD_GATEWAY);
    }
    let itself = get(&server, "/app?to=/app/x").await;
    assert_eq!((itself.status, itself.variable("SCRIPT_NAME").as_deref()), (StatusCode::OK, Some("/app")));
    let many = (0..11).fold("/app/end".to_owned(), |target, _| format!("/app?to={}", encode(target)));
    get(&server, &many).await.expect_only(StatusCode::BAD_GATEWAY);
    wait_for_permits(redirect.engine(), 16).await;
}

#[tokio::test]
async fn traversal_is_refused_or_stays_inside() {
    let app = Router::new().route("/native", native(|| async { "native" })).nest_service("/app", service("env"));
    let server = Server::start(app).await;
    for path in [
        "/app/../native",
        "/app/%2e%2e/native",
        "/app/.%2e/native",
        "/app/..%2fnative",
        "/app/a/../../native",
        "/app/..\\native",
        "/app/..%5cnative",
        "/app/a\\..\\..\\native",
        "/app/%00",
        "/app/a%00.php",
        "/app/%2e%2e%2f%2e%2e%2fetc/passwd",
    ] {
        get(&server, path).await.expect_only(StatusCode::BAD_REQUEST);
    }
    let root = Server::start(service("env")).await;
    for (path, path_info) in
        [("//", "/"), ("//a//b", "/a/b"), ("/a/../b", "/b"), ("/%252e%252e/x", "/%2e%2e/x"), ("/...", "/...")]
    {
        assert_eq!(get(&root, path).await.variable("PATH_INFO").as_deref(), Some(path_info), "{path}");
    }
}

/// Lower-casing `İ` makes it longer, so that an offset in the one text cuts the other.
#[tokio::test]
async fn cve_2026_24895_unicode_splits_no_path() {
    let server = Server::start(service("env")).await;
    for path in ["/%C4%B0.php.txt.php", "/%C4%B0%C4%B0%C4%B0%C4%B0.php/x"] {
        let answer = get(&server, path).await;
        let decoded = path.replace("%C4%B0", "\u{130}");
        assert_eq!(
            (answer.variable("SCRIPT_NAME").unwrap(), answer.variable("PATH_INFO").unwrap()),
            (String::new(), decoded)
        );
    }
}

/// The same below a mount whose name is not ASCII itself.
#[tokio::test]
async fn cve_2026_45062_unicode_splits_no_mount() {
    let server = Server::start(builder("env").mount("/\u{130}.php").build().unwrap()).await;
    let answer = get(&server, "/%C4%B0.php/%C4%B0.php.txt.php").await;
    let got = ["SCRIPT_NAME", "PATH_INFO"].map(|name| answer.variable(name).unwrap());
    assert_eq!(got, ["/\u{130}.php", "/\u{130}.php.txt.php"]);
    get(&server, "/i%CC%87.php/x").await.expect_only(StatusCode::NOT_FOUND);
}

/// An uploaded file is never what runs: with one script, the path is its input and nothing more.
#[tokio::test]
async fn path_info_confusion_runs_nothing_else() {
    let uploads = tempfile::tempdir().unwrap();
    fs::write(uploads.path().join("upload.jpg"), "<?php echo 'evil';").unwrap();
    let server = Server::start(builder("env").map_dir("/app", uploads.path(), Access::ReadOnly).build().unwrap()).await;
    for path in ["/upload.jpg/x.php", "/upload.jpg%00.php", "/upload.jpg/.php", "/app/upload.jpg/x.php"] {
        let answer = get(&server, path).await;
        assert!(!answer.text().contains("evil"));
        match answer.status {
            StatusCode::OK => assert_eq!(answer.variable("PATH_INFO").as_deref(), Some(path)),
            status => assert_eq!((status, path), (StatusCode::BAD_REQUEST, "/upload.jpg%00.php")),
        }
    }
}

/// No spelling of a file's name shows its source.
#[tokio::test]
async fn source_is_never_disclosed() {
    let site = tempfile::tempdir().unwrap();
    fs::write(site.path().join("index.php"), "<?php $secret = 1;").unwrap();
    let server = Server::start(builder("env").map_dir("/app", site.path(), Access::ReadOnly).build().unwrap()).await;
    for (path, path_info) in [
        ("/index.php", "/index.php"),
        ("/index.php%20", "/index.php "),
        ("/index.php.", "/index.php."),
        ("/INDEX.PHP", "/INDEX.PHP"),
        ("/index.php::$DATA", "/index.php::$DATA"),
        ("/index.php~", "/index.php~"),
        ("/index.php%5c", "/index.php\\"),
        ("/app/index.php", "/app/index.php"),
        ("/index.php/", "/index.php/"),
    ] {
        let answer = get(&server, path).await;
        assert_eq!(answer.variable("PATH_INFO").as_deref(), Some(path_info), "undamaged, for the script");
        assert!(!answer.text().contains("secret"), "{path}");
    }
    get(&server, "/index.php%00").await.expect_only(StatusCode::BAD_REQUEST);
}

#[cfg(unix)]
#[tokio::test]
async fn symlinks_lead_out_of_no_mount() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), "topsecret").unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), dir.path().join("file")).unwrap();
    let server = Server::start(builder("files").map_dir("/d", dir.path(), Access::ReadWrite).build().unwrap()).await;
    for path in ["/d/out", "/d/out/", "/d/out/secret", "/d/out/secret/", "/d/file", "/d/file/", "/d/out/../out/secret"]
    {
        for op in ["read", "list", "stat", "write", "truncate", "append"] {
            let text = get(&server, &format!("/?op={op}&path={path}&data=x")).await.text();
            assert!(!text.contains(": ok") && !text.contains("topsecret"), "{op} {path}: {text}");
        }
    }
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"topsecret");
}

/// With one slot, every request gets the one before's.
#[tokio::test]
async fn the_next_request_in_a_slot_sees_nothing_of_the_last() {
    let slot = tower_wcgi::Engine::builder().max_concurrency(1).cache_dir(wcgi_tests::cache_dir()).build().unwrap();
    let serve = |name| WcgiService::builder().package(guest(name)).engine(slot.clone()).build().unwrap();
    let app = Router::new().nest_service("/state", serve("state")).nest_service("/tmp", serve("tmp"));
    let server = Server::start(app.nest_service("/grow", serve("grow"))).await;
    let first = get(&server, "/state").await.text();
    assert!(first.starts_with("memory=1 global=1 table=1"), "{first}");
    for _ in 0..20 {
        assert_eq!(get(&server, "/grow?4").await.text(), "grew 4 MiB\n");
        assert_eq!(get(&server, "/tmp").await.text(), "empty=yes\nwrite=ok\n");
        assert_eq!(get(&server, "/state").await.text(), first);
    }
}

#[tokio::test]
async fn a_spin_loop_affects_no_others() {
    hello_beside("spin", "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
}

#[tokio::test]
async fn a_memory_bomb_affects_no_others() {
    hello_beside("bomb", "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
}

#[tokio::test]
async fn endless_stdout_affects_no_others() {
    hello_beside("flood", "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
}

#[tokio::test]
async fn an_endless_header_line_affects_no_others() {
    hello_beside("flood", "GET /?line HTTP/1.1\r\nHost: x\r\n\r\n").await;
    // The request's as well: the server reads so much of a head and no more.
    hello_beside("env", &format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}", "x".repeat(1 << 20))).await;
}

#[tokio::test]
async fn a_hundred_thousand_headers_affect_no_others() {
    hello_beside("flood", "GET /?headers HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let many = "X-Many: 1\r\n".repeat(100_000);
    hello_beside("env", &format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")).await;
    let answer = send(&Server::start(service("env")).await, format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")).await;
    assert!(answer.status.is_client_error(), "{answer:?}");
}

#[tokio::test]
async fn endless_stderr_affects_no_others() {
    hello_beside("flood", "GET /?err HTTP/1.1\r\nHost: x\r\n\r\n").await;
}

/// Four such requests at a time on one thread for guests, while `hello` is asked.
async fn hello_beside(name: &str, faulty: &str) {
    let engine = engine().threads(1).max_memory(64 << 20).build().unwrap();
    let serve = |name: &str| {
        let service = WcgiService::builder().package(guest(name)).engine(engine.clone());
        Server::start(service.deadline(Duration::from_secs(20)).build().unwrap())
    };
    let (hello, server) = (serve("hello").await, serve(name).await);
    let mut connections = Vec::new();
    for _ in 0..4 {
        let mut stream = server.connect().await;
        // A server that has seen enough closes the connection.
        let _ = stream.write_all(faulty.as_bytes()).await;
        connections.push(stream);
    }
    let all = async {
        for _ in 0..20 {
            assert_eq!(get(&hello, "/").await.text(), "Hello, World!\n");
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all).await.expect("others are answered");
    drop(connections);
    wait_for_permits(&engine, 16).await;
}

/// As slow as the test is patient: the server waits for each byte, and for nothing else.
#[tokio::test]
async fn one_byte_at_a_time_in_and_out_holds_up_nobody() {
    let echo = builder("echo").response_buffer(1).build().unwrap();
    let server = Server::start(echo.clone()).await;
    let mut slow = server.connect().await;
    for byte in b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n" {
        slow.write_all(&[*byte]).await.unwrap();
    }
    read_until(&mut slow, "\r\n\r\n").await;
    for n in 0..20_u8 {
        slow.write_all(&[b'a' + n]).await.unwrap();
        assert_eq!(post(&server, "/", "quick").await.text(), "quick");
        read_until(&mut slow, &char::from(b'a' + n).to_string()).await;
    }
    wait_for_permits(echo.engine(), 16).await;
}

/// A page that is cut is never taken, or cached, for the whole.
#[tokio::test]
async fn a_crash_mid_body_is_a_broken_connection() {
    let server = Server::start(service("trap")).await;
    let answer = get(&server, "/?when=mid").await;
    assert_eq!((answer.status, answer.text().as_str(), answer.whole), (StatusCode::OK, "half of\n", false));
    let request = http::Request::get("http://x/?when=mid").body(()).unwrap();
    assert!(send2(&server, request, &[]).await.reset.is_some());
}

#[tokio::test]
async fn a_guest_that_ignores_a_10_mb_post_is_answered() {
    let answer = post(&Server::start(service("noread")).await, "/", vec![b'x'; 10_000_000]).await;
    assert_eq!((answer.status, answer.text().as_str(), answer.whole), (StatusCode::OK, "not read\n", true));
}
