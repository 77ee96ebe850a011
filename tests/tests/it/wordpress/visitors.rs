//! Many visitors at once: every comment that was acknowledged is there, once, and the site goes on.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use http::{HeaderValue, Method, StatusCode, header};
use tokio::io::AsyncWriteExt;
use tower_wcgi::{Access, WcgiService};
use wcgi_tests::wordpress::WordPress;
use wcgi_tests::{Server, ask, engine, get, read_until, request, root, wait_for_permits};

const VISITORS: u16 = 32;
/// How many each of them writes. The proof is 50, which take a small machine some minutes: `WCGI_TEST_COMMENTS=50`.
const COMMENTS: u16 = 5;
/// How often one who leaves looks whether somebody writes, and reads a page in between.
const LOOKS: usize = 5;
/// More than there are requests at once: nobody is refused.
const PERMITS: usize = 40;

#[tokio::test]
async fn no_comment_of_many_visitors_is_lost_while_others_read_and_some_are_cut_off() {
    let comments = std::env::var("WCGI_TEST_COMMENTS").map_or(COMMENTS, |number| number.parse().unwrap());
    let wordpress = WordPress::installed().await;
    let engine = engine().max_concurrency(PERMITS).build().unwrap();
    let service = wordpress.builder().engine(engine.clone()).build().unwrap();
    let server = Server::start(service.clone()).await;
    let over = AtomicBool::new(false);

    let visitors = (0..VISITORS).map(async |visitor| {
        let mut acknowledged = Vec::new();
        for n in 0..comments {
            let text = format!("comment {n} of visitor {visitor}");
            if comment(&service, visitor, n, &text).await == StatusCode::FOUND {
                acknowledged.push(text);
            }
        }
        acknowledged
    });
    let all = async {
        let acknowledged = join_all(visitors).await.concat();
        over.store(true, Ordering::Relaxed);
        acknowledged
    };
    let reading = async {
        let mut pages = 0;
        while !over.load(Ordering::Relaxed) {
            let reply = get(&service, "/").await;
            assert_eq!((reply.status, reply.failure), (StatusCode::OK, None));
            assert!(reply.text().contains("</html>"));
            pages += 1;
        }
        pages
    };
    let leaving = async {
        let mut left = 0;
        while !over.load(Ordering::Relaxed) {
            leave(&server, &service, &wordpress, left).await;
            left += 1;
        }
        left
    };
    let (acknowledged, pages, left) = tokio::join!(all, reading, leaving);

    assert_eq!(acknowledged.len(), usize::from(VISITORS * comments), "each was acknowledged");
    assert!(pages > 0 && left > 0, "{pages} pages were read, {left} visitors left");
    wait_for_permits(&engine, PERMITS).await;
    let (integrity, kept) = stored(&wordpress).await;
    assert_eq!(integrity, "ok");
    let wanted: BTreeSet<&str> = acknowledged.iter().map(String::as_str).collect();
    let mut seen = BTreeSet::new();
    for text in kept.iter().filter(|text| text.starts_with("comment ")) {
        assert!(seen.insert(text.as_str()), "{text} is there twice");
    }
    assert_eq!(seen, wanted);
    assert!(get(&service, "/").await.text().contains(WordPress::TITLE));
    assert!(!wordpress.db().join("wordpress.sqlite.lock").exists());
}

/// Writes a comment under the first post, each from an address of its own: one address may not write so often.
async fn comment(service: &WcgiService, visitor: u16, n: u16, text: &str) -> StatusCode {
    let mut request = request(Method::POST, "/wp-comments-post.php", form(&format!("{visitor}.{n}"), text));
    let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, visitor, n);
    request.extensions_mut().insert(SocketAddr::from((address, 40_000)));
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(FORM));
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("notes.example"));
    ask(service, request).await.status
}

fn form(name: &str, text: &str) -> String {
    let text = text.replace(' ', "+");
    format!("comment_post_ID=1&comment_parent=0&author=V+{name}&email=v.{name}%40example.org&url=&comment={text}")
}

/// Sends a comment or asks for a page, and is gone before the end: at once, while somebody writes, or with half of a page.
async fn leave(server: &Server, service: &WcgiService, wordpress: &WordPress, n: usize) {
    let mut stream = server.connect().await;
    if n % 3 == 2 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: notes.example\r\n\r\n").await.unwrap();
        read_until(&mut stream, "<body").await;
        return;
    }
    let form = form(&format!("left.{n}"), &format!("said by {n} who left"));
    let head = format!(
        "POST /wp-comments-post.php HTTP/1.1\r\nHost: notes.example\r\nContent-Type: {FORM}\r\nContent-Length: {}\r\n\r\n",
        form.len()
    );
    stream.write_all((head + form.as_str()).as_bytes()).await.unwrap();
    if n % 3 == 1 {
        for _look in 0..LOOKS {
            if wordpress.db().join("wordpress.sqlite-journal").exists() {
                break;
            }
            assert_eq!(get(service, "/").await.status, StatusCode::OK);
        }
    }
}

/// What SQLite says of the data base, and every comment in it.
async fn stored(wordpress: &WordPress) -> (String, Vec<String>) {
    let app = tempfile::tempdir().unwrap();
    let page = r"<?php
$pdo = new PDO('sqlite:/db/wordpress.sqlite');
echo $pdo->query('PRAGMA integrity_check')->fetchColumn();
foreach ($pdo->query('SELECT comment_content FROM wp_comments') as [$text]) echo PHP_EOL, $text;";
    fs::write(app.path().join("index.php"), page).unwrap();
    let reader = WcgiService::builder()
        .package(root().join("examples/php"))
        .snapshot(false)
        .map_dir("/app", app.path(), Access::ReadOnly)
        .map_dir("/db", wordpress.db(), Access::ReadWrite)
        .engine(engine().build().unwrap())
        .build()
        .unwrap();
    let text = get(&reader, "/").await.text();
    let mut lines = text.lines().map(str::to_owned);
    (lines.next().unwrap_or_default(), lines.collect())
}

const FORM: &str = "application/x-www-form-urlencoded";
