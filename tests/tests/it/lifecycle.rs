//! Permits, deadlines and clients that leave: what an exchange took comes back, whatever happens.

use std::time::Duration;

use axum::Router;
use axum::routing::get as native;
use http::{Method, StatusCode};
use tokio::io::AsyncWriteExt;
use tower::ServiceExt;
use tower_wcgi::{Engine, ErrorKind, WcgiService};
use wcgi_tests::{Reply, Server, builder, cache_dir, get, guest, read_until, request, wait_for_permits};

#[tokio::test]
async fn a_client_that_leaves_ends_the_script() {
    let service = builder("spin").deadline(None).build().unwrap();
    let server = Server::start(service.clone()).await;
    for target in ["/", "/?head"] {
        let mut stream = server.connect().await;
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        wait_for_permits(service.engine(), 15).await;
        drop(stream);
        wait_for_permits(service.engine(), 16).await;
    }
}

#[tokio::test]
async fn dropping_the_future_or_the_body_ends_the_script() {
    let service = builder("spin").deadline(None).build().unwrap();
    let future = tokio::spawn(service.clone().oneshot(request(Method::GET, "/", "")));
    wait_for_permits(service.engine(), 15).await;
    future.abort();
    wait_for_permits(service.engine(), 16).await;

    let response = service.clone().oneshot(request(Method::GET, "/?head", "")).await.unwrap();
    assert_eq!(service.engine().available_permits(), 15, "the permit lives as long as the body, not the head");
    drop(response);
    wait_for_permits(service.engine(), 16).await;
}

#[tokio::test]
async fn a_sleeping_script_is_ended_at_its_deadline_and_keeps_no_thread() {
    let engine = wcgi_tests::engine().threads(1).build().unwrap();
    let sleeper = WcgiService::builder().package(guest("sleep")).engine(engine.clone());
    let sleeper = sleeper.deadline(Duration::from_millis(300)).build().unwrap();
    let hello = WcgiService::builder().package(guest("hello")).engine(engine).build().unwrap();
    let late = tokio::spawn(async move { get(&sleeper, "/?1000000").await });
    wait_for_permits(hello.engine(), 15).await;
    assert_eq!(get(&hello, "/").await.status, StatusCode::OK, "the only thread is not asleep with the script");
    assert_eq!(late.await.unwrap().status, StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn native_routes_answer_beside_scripts_that_spin() {
    let engine = Engine::builder().max_concurrency(8).queue(0).cache_dir(cache_dir()).build().unwrap();
    let spin = WcgiService::builder().package(guest("spin")).engine(engine.clone()).deadline(Duration::from_secs(2));
    let spin = spin.build().unwrap();
    let app = Router::new().route("/health", native(|| async { "ok" })).nest_service("/spin", spin.clone());
    let server = Server::start(app).await;
    let late: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let spin = spin.clone();
                async move { get(&spin, "/").await.status }
            })
        })
        .collect();
    wait_for_permits(&engine, 0).await;
    for _ in 0..20 {
        assert!(server.get("/health").await.ends_with("ok"));
    }
    assert_eq!(engine.available_permits(), 0, "they still spin");
    let refused = get(&spin, "/").await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    for status in late {
        assert_eq!(status.await.unwrap(), StatusCode::GATEWAY_TIMEOUT);
    }
    wait_for_permits(&engine, 8).await;
}

#[tokio::test]
async fn requests_above_the_limit_wait_in_the_queue() {
    let engine = Engine::builder().max_concurrency(2).queue(100).cache_dir(cache_dir()).build().unwrap();
    let service = WcgiService::builder().package(guest("sleep")).engine(engine.clone()).build().unwrap();
    let all: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn({
                let service = service.clone();
                async move { get(&service, "/?5").await.status }
            })
        })
        .collect();
    for status in all {
        assert_eq!(status.await.unwrap(), StatusCode::OK);
    }
    assert_eq!((engine.available_permits(), engine.queued()), (2, 0));
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_503() {
    let engine = Engine::builder().max_concurrency(1).queue_wait(Duration::from_millis(50)).cache_dir(cache_dir());
    let engine = engine.build().unwrap();
    let service = WcgiService::builder().package(guest("spin")).engine(engine.clone()).build().unwrap();
    let held = service.clone().oneshot(request(Method::GET, "/?head", "")).await.unwrap();
    assert_eq!(get(&service, "/").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let error = service.try_call(request(Method::GET, "/", "")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_overload()), (ErrorKind::Overloaded, true));
    drop(held);
}

/// What a script does after the client has all it was promised, like saving a session, is not cut off.
#[tokio::test]
async fn a_script_comes_to_its_end_after_head_and_after_its_content_length() {
    let dir = tempfile::tempdir().unwrap();
    let service = builder("files").map_dir("/d", dir.path(), tower_wcgi::Access::ReadWrite).build().unwrap();
    let head = request(Method::HEAD, "/?op=write&path=/d/a&data=x", "");
    let reply = Reply::read(service.clone().oneshot(head).await.unwrap()).await;
    assert_eq!((reply.status, reply.body.len()), (StatusCode::OK, 0));
    wait_for_permits(service.engine(), 16).await;
    assert!(dir.path().join("a").exists());

    let big = builder("big").build().unwrap();
    let reply = get(&big, "/?n=1000000&cl=10").await;
    assert_eq!((reply.header("content-length"), reply.text().as_str(), reply.failure), ("10", "abcdefghij", None));
    wait_for_permits(big.engine(), 16).await;
}

#[tokio::test]
async fn output_shorter_than_its_content_length_aborts_the_connection() {
    let service = builder("big").build().unwrap();
    let reply = get(&service, "/?n=5&cl=10").await;
    assert_eq!((reply.text().as_str(), reply.failure), ("abcde", Some(ErrorKind::MalformedResponse)));
}

#[tokio::test]
async fn a_trap_after_the_head_leaves_a_chunked_body_without_its_end() {
    let server = Server::start(builder("trap").build().unwrap()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /?when=mid HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let seen = read_until(&mut stream, "half of\n\r\n").await;
    let mut rest = Vec::new();
    // Reset or closed, but never the terminal chunk.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await;
    assert!(seen.to_lowercase().contains("transfer-encoding: chunked") && rest.is_empty(), "{seen}{rest:?}");
}
