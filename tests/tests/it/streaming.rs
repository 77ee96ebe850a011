//! Both ways at once, in bounded memory, over real connections.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;
use tower_wcgi::{ErrorKind, WcgiService};
use wcgi_tests::{Reply, Server, builder, engine, guest, read_until, service, wait_for_permits};

/// The first line is on the wire while the script sleeps for longer than the test may take.
#[tokio::test]
async fn each_line_reaches_the_client_as_it_is_printed() {
    let server = Server::start(builder("ticker").deadline(None).build().unwrap()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /?n=3&ms=1000000 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let seen = read_until(&mut stream, "tick 1\n").await;
    assert!(seen.starts_with("HTTP/1.1 200 OK\r\n"), "{seen}");
    assert!(!seen.contains("tick 2"));
}

#[tokio::test]
async fn what_is_sent_comes_back_before_the_rest_is_sent() {
    let server = Server::start(service("echo")).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello").await.unwrap();
    read_until(&mut stream, "hello").await;
    stream.write_all(b"world").await.unwrap();
    read_until(&mut stream, "world").await;
}

/// One task sends and receives more than all buffers on the way hold. A gateway that read the whole upload before it wrote,
/// or the other way round, would stop here for ever.
#[tokio::test]
async fn echoing_while_receiving_never_deadlocks() {
    let server = Server::start(service("echo")).await;
    let (mut reader, mut writer) = tokio::io::split(server.connect().await);
    const SIZE: usize = 20 << 20;
    let send = async {
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {SIZE}\r\n\r\n");
        writer.write_all(head.as_bytes()).await.unwrap();
        let chunk = vec![b'.'; 64 << 10];
        for _ in 0..SIZE / chunk.len() {
            writer.write_all(&chunk).await.unwrap();
        }
    };
    let mut response = Vec::new();
    let (received, ()) = tokio::join!(reader.read_to_end(&mut response), send);
    received.unwrap();
    assert!(response.iter().filter(|byte| **byte == b'.').count() >= SIZE);
}

#[tokio::test]
async fn a_body_without_a_length_is_spooled_so_that_content_length_is_true() {
    let service = service("count");
    for (chunks, size) in [(0, 1), (1, 5), (40, 1000), (40, 100_000)] {
        let reply = Reply::read(service.clone().oneshot(chunked(chunks, size)).await.unwrap()).await;
        let bytes = chunks * size;
        let length = if bytes == 0 { "unset".to_owned() } else { bytes.to_string() };
        assert_eq!(reply.text(), format!("bytes={bytes}\ncontent_length={length}\n"));
    }
    let echoed = Reply::read(wcgi_tests::service("echo").oneshot(chunked(40, 100_000)).await.unwrap()).await;
    assert_eq!(echoed.body.len(), 4_000_000);
    assert!(echoed.body.chunks(100_000).enumerate().all(|(n, chunk)| chunk.iter().all(|byte| usize::from(*byte) == n)));
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_with_and_without_a_length() {
    let service = builder("count").max_body(1000).build().unwrap();
    assert_eq!(wcgi_tests::post(&service, "/", vec![0; 1001]).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(wcgi_tests::post(&service, "/", vec![0; 1000]).await.status, StatusCode::OK);
    let reply = Reply::read(service.clone().oneshot(chunked(3, 400)).await.unwrap()).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
}

/// The client reads nothing: the script stops when the pipe is full, and the server with it.
#[tokio::test]
async fn a_slow_reader_blocks_the_script_and_not_the_server() {
    let service = builder("big").response_buffer(1 << 10).build().unwrap();
    let stuck = service.clone().oneshot(wcgi_tests::request(http::Method::GET, "/?n=100000000", "")).await.unwrap();
    assert_eq!(wcgi_tests::get(&service, "/?n=5").await.text(), "abcde");
    let (free, mut body) = (service.engine().available_permits(), stuck.into_body());
    assert_eq!(free, 15, "the script waits for its reader");
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(frame.len() <= 1 << 10);
    drop(body);
    wait_for_permits(service.engine(), 16).await;
}

#[tokio::test]
async fn the_deadline_covers_a_reader_that_never_reads() {
    let service = builder("big").deadline(Duration::from_millis(100)).build().unwrap();
    let response = service.clone().oneshot(wcgi_tests::request(http::Method::GET, "/?n=100000000", "")).await.unwrap();
    wait_for_permits(service.engine(), 16).await;
    let reply = Reply::read(response).await;
    assert_eq!(reply.failure, Some(tower_wcgi::ErrorKind::DeadlineExceeded));
}

#[tokio::test]
async fn the_deadline_covers_a_body_that_never_comes() {
    let service = builder("count").deadline(Duration::from_millis(100)).build().unwrap();
    let server = Server::start(service.clone()).await;
    for head in ["Content-Length: 5\r\n\r\nhell", "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"] {
        let mut stream = server.connect().await;
        stream.write_all(format!("POST / HTTP/1.1\r\nHost: x\r\n{head}").as_bytes()).await.unwrap();
        let seen = read_until(&mut stream, "\r\n\r\n").await;
        assert!(seen.starts_with("HTTP/1.1 504 "), "{seen}");
    }
    wait_for_permits(service.engine(), 16).await;
}

fn chunked(chunks: usize, size: usize) -> Request<impl http_body::Body<Data = Bytes, Error = Infallible> + Send> {
    let frames = (0..chunks).map(move |n| Ok(Frame::data(Bytes::from(vec![u8::try_from(n).unwrap(); size]))));
    Request::post("/").body(StreamBody::new(futures_util::stream::iter(frames))).unwrap()
}

/// Bodies without a length are kept on disk, which has only so much room for all of them.
#[tokio::test]
async fn spooled_bodies_have_only_so_much_room_together() {
    let engine = engine().max_spool(250_000).build().unwrap();
    let of = |name| WcgiService::builder().package(guest(name)).engine(engine.clone()).build().unwrap();
    let (count, sleep) = (of("count"), of("sleep"));
    let Err(error) = count.try_call(chunked(3, 100_000)).await else { panic!("there is no room for it") };
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    // Each gives its room back.
    for _ in 0..3 {
        let Ok(response) = count.try_call(chunked(2, 100_000)).await else { panic!("there is room for it") };
        assert!(Reply::read(response).await.text().starts_with("bytes=200000\n"));
        wait_for_permits(&engine, 16).await;
    }
    // A script that sleeps beside it has the room as long.
    let mut request = chunked(2, 100_000);
    *request.uri_mut() = "/?20000".parse().unwrap();
    let sleeping = tokio::spawn(async move { sleep.try_call(request).await.is_ok() });
    wait_for_permits(&engine, 15).await;
    let Err(error) = count.try_call(chunked(2, 100_000)).await else { panic!("there is no room for it") };
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    // What fits into memory takes none.
    assert!(count.try_call(chunked(1, 50_000)).await.is_ok());
    sleeping.abort();
    wait_for_permits(&engine, 16).await;
    assert!(count.try_call(chunked(2, 100_000)).await.is_ok());
}
