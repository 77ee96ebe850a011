//! What a program does that calls WASI 0.2 itself, where the other guests have a libc for preview 1 and an adapter.

use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tower_wcgi::{Access, ErrorKind, NetRule};
use wcgi_tests::{Server, builder, get, read_until, service, wait_for_permits};

#[tokio::test]
async fn giving_stdout_back_ends_nothing() {
    let reply = get(&service("native"), "/?op=lines&n=3").await;
    assert_eq!((reply.text().as_str(), reply.failure), ("line 0\nline 1\nline 2\n", None));
}

#[tokio::test]
async fn neither_a_status_nor_an_error_is_a_failure_after_output() {
    let service = service("native");
    for target in ["/?op=exit&code=0", "/?op=exit&code=255", "/?op=fail"] {
        let reply = get(&service, target).await;
        assert_eq!((reply.status, reply.text().as_str(), reply.failure), (StatusCode::OK, "bye\n", None), "{target}");
    }
}

#[tokio::test]
async fn the_network_is_denied() {
    let service = service("native");
    let text = get(&service, "/?op=net").await.text();
    assert!(text.starts_with("tcp: ok\nudp: ") && text.contains("\"access-denied\""), "{text}");
    assert!(text.contains("\nname: ") && text.contains("\"name-unresolvable\""), "{text}");
    let text = get(&service, "/?op=connect&host=127.0.0.1&port=80&say=x").await.text();
    assert_eq!(text, "connect: access-denied\n");
}

#[tokio::test]
async fn a_component_reaches_what_it_is_granted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let unix = dir.path().join("db.sock");
    let on_unix = UnixListener::bind(&unix).unwrap();
    let rules = [format!("db:3306={address}"), format!("local:1=unix:{}", unix.display())];
    let service = rules
        .iter()
        .fold(builder("native"), |builder, rule| builder.net(rule.parse::<NetRule>().unwrap()))
        .build()
        .unwrap();
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        stream.write_all(all.to_uppercase().as_bytes()).await.unwrap();
    };
    let (reply, ()) = tokio::join!(get(&service, "/?op=connect&host=db&port=3306&say=hello"), peer);
    let text = reply.text();
    assert!(text.starts_with("HELLO ") && text.contains("port: 3306") && text.contains("(198, 18, 0, 1)"), "{text}");
    let peer = async {
        let (mut stream, _) = on_unix.accept().await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        stream.write_all(all.to_uppercase().as_bytes()).await.unwrap();
    };
    let (reply, ()) = tokio::join!(get(&service, "/?op=connect&host=local&port=1&say=unix"), peer);
    assert!(reply.text().starts_with("UNIX "), "{}", reply.text());
    drop(listener);
    let text = get(&service, "/?op=connect&host=db&port=3306&say=x").await.text();
    assert_eq!(text, "connect: connection-refused\n");
}

#[tokio::test]
async fn what_one_call_may_want_is_bounded() {
    let service = service("native");
    for (target, answer) in [("/?op=random&n=1000000", "ok 1000000\n"), ("/?op=poll&n=1024", "ok 1024\n")] {
        assert_eq!(get(&service, target).await.text(), answer);
    }
    for target in ["/?op=random&n=100000000", "/?op=poll&n=1025", "/?op=poll&n=100000"] {
        assert_eq!(get(&service, target).await.failure, Some(ErrorKind::Trap), "{target}");
    }
}

#[tokio::test]
async fn a_stream_that_outlives_its_file_counts_as_an_open_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "").unwrap();
    let service = builder("native").map_dir("/d", dir.path(), Access::ReadOnly).build().unwrap();
    assert_eq!(get(&service, "/?op=many&n=1000&path=/d/f").await.text(), "ok 256\n");
    assert_eq!(get(&service, "/?op=many&n=100&path=/d/f").await.text(), "ok 100\n");
}

#[tokio::test]
async fn a_file_stays_its_writers_as_long_as_a_stream_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let native = || builder("native").map_dir("/d", dir.path(), Access::ReadWrite);
    let patient = native().deadline(None).build().unwrap();
    let hasty = native().deadline(Duration::from_secs(3)).build().unwrap();
    let server = Server::start(patient.clone()).await;
    let mut holder = server.connect().await;
    let head = "POST /?op=outlive&path=/d/f HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    holder.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut holder, "kept\n").await;
    // Only the writing says whether it is appending.
    assert_eq!(get(&hasty, "/?op=append&path=/d/f").await.text(), "append: ok\n");
    let late = get(&hasty, "/?op=write&path=/d/f").await;
    assert_eq!((late.text().as_str(), late.failure), ("opened\n", Some(ErrorKind::DeadlineExceeded)));
    drop(holder);
    wait_for_permits(patient.engine(), 16).await;
    assert_eq!(get(&hasty, "/?op=write&path=/d/f").await.text(), "opened\nwrite: ok\n");
}
