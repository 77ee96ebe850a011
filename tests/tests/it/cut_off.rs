//! A request's body that breaks off is nobody's whole: the script is ended where it would read on, or its read fails.

use std::fs;
use std::io;
use std::path::Path;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_wcgi::{Access, Error, ErrorKind, WcgiService};
use wcgi_tests::calls::{DIRECTORY, call, record, script};
use wcgi_tests::{Announced, Server, builder, engine, wait_for_permits};

/// Some bytes of a body, and then the connection is gone.
fn half(bytes: impl Into<Bytes>, how: How) -> impl Body<Data = Bytes, Error = io::Error> + Send {
    let mut frames = vec![Ok(Frame::data(bytes.into()))];
    if how != How::Ends {
        frames.push(Err(io::ErrorKind::ConnectionReset.into()));
    }
    Announced(StreamBody::new(stream::iter(frames)), (how != How::FailsWithoutLength).then_some(1000))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Fails,
    Ends,
    FailsWithoutLength,
}

/// A script that reads until a read gives nothing more, and then makes the directory `sub` if it was told to. It takes a
/// failed read for the end, as many do.
fn careless(dir: &Path) -> WcgiService {
    fs::write(dir.join("calls.wat"), script()).unwrap();
    fs::create_dir(dir.join("d")).unwrap();
    let service = WcgiService::builder().package(dir.join("calls.wat")).engine(engine().build().unwrap());
    service.map_dir("/d", dir.join("d"), Access::ReadWrite).build().unwrap()
}

/// The first of twelve calls.
fn make_directory() -> Vec<u8> {
    [record(12, &[]), record(call("path_create_directory"), &[3, DIRECTORY.0, DIRECTORY.1])].concat()
}

async fn refused(service: &WcgiService, body: impl Body<Data = Bytes, Error = io::Error> + Send + 'static) -> Error {
    service.try_call(Request::post("/").body(body).unwrap()).await.expect_err("the body broke off")
}

#[tokio::test]
async fn a_script_that_has_not_begun_its_answer_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let service = careless(dir.path());
    for (how, message) in [
        (How::Fails, "the request's body broke off: 160 of 1000 bytes came"),
        (How::Ends, "the request's body broke off: 160 of 1000 bytes came"),
        (How::FailsWithoutLength, "the request's body broke off after 160 bytes"),
    ] {
        let error = refused(&service, half(make_directory(), how)).await;
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::MalformedRequest, message));
        wait_for_permits(service.engine(), 16).await;
        assert!(!dir.path().join("d/sub").exists(), "it took the half for the whole: {message}");
    }
    let whole = Request::post("/").body(http_body_util::Full::new(Bytes::from(make_directory()))).unwrap();
    assert_eq!(service.try_call(whole).await.unwrap().status(), StatusCode::OK);
    wait_for_permits(service.engine(), 16).await;
    assert!(dir.path().join("d/sub").exists());
}

/// In C, as a module and as a component, a small body and one that takes many reads.
#[tokio::test]
async fn whatever_reads_it() {
    let service = builder("count").build().unwrap();
    for (bytes, message) in [(7, "7 of 1000 bytes came"), (999, "999 of 1000 bytes came")] {
        for _ in 0..5 {
            let error = refused(&service, half(vec![b'x'; bytes], How::Fails)).await;
            assert_eq!(error.kind(), ErrorKind::MalformedRequest);
            assert!(error.to_string().contains(message), "{error}");
        }
    }
    wait_for_permits(service.engine(), 16).await;
}

#[tokio::test]
async fn a_script_that_has_begun_its_answer_is_told_by_a_failed_read() {
    let service = builder("echo").build().unwrap();
    let response = service.try_call(Request::post("/").body(half("half", How::Fails)).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], b"half");
    wait_for_permits(service.engine(), 16).await;
}

#[tokio::test]
async fn over_http_1_with_a_length_and_chunked() {
    let dir = tempfile::tempdir().unwrap();
    let service = careless(dir.path());
    let server = Server::start(service.clone()).await;
    let record = make_directory();
    let chunk = [format!("{:x}\r\n", record.len()).as_bytes(), &record, b"\r\n"].concat();
    for (field, body) in [("Content-Length: 1000", &record), ("Transfer-Encoding: chunked", &chunk)] {
        let mut stream = server.connect().await;
        stream.write_all(format!("POST / HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n").as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
        wait_for_permits(service.engine(), 16).await;
        assert!(!dir.path().join("d/sub").exists(), "{field}");
    }
}

#[tokio::test]
async fn over_http_2_that_is_reset() {
    let dir = tempfile::tempdir().unwrap();
    let service = careless(dir.path());
    let server = Server::start(service.clone()).await;
    for length in [Some("1000"), None] {
        let (send, connection) = h2::client::handshake(server.connect().await).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut send = send.ready().await.unwrap();
        let mut request = Request::builder().method(Method::POST).uri("http://localhost/");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let (response, mut stream) = send.send_request(request.body(()).unwrap(), false).unwrap();
        stream.send_data(make_directory().into(), false).unwrap();
        if length.is_some() {
            // The script has the permit when it runs, and it has to run to read.
            wait_for_permits(service.engine(), 15).await;
        }
        stream.send_reset(h2::Reason::CANCEL);
        assert!(response.await.is_err());
        wait_for_permits(service.engine(), 16).await;
        assert!(!dir.path().join("d/sub").exists());
        connection.abort();
    }
}
