//! A script that says so comes to its end though its client leaves.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::mpsc;
use tower_wcgi::{Access, WcgiBuilder, WcgiService};
use wcgi_tests::calls::{BUFFER, DIRECTORY, ERRORS, FILE, NOTHING, VECTOR, body, call, record, script};
use wcgi_tests::{Announced, engine, post, wait_for_permits};

const NOTSUP: u8 = 58;
/// The mount `/d`, and its file `a.txt` when it is opened.
const DIR: u64 = 3;
const OPEN: u64 = 5;

fn service(dir: &Path) -> WcgiBuilder {
    fs::write(dir.join("calls.wat"), script()).unwrap();
    fs::create_dir(dir.join("d")).unwrap();
    fs::write(dir.join("d/a.txt"), "").unwrap();
    let service = WcgiService::builder().package(dir.join("calls.wat")).engine(engine().build().unwrap());
    service.map_dir("/d", dir.join("d"), Access::ReadWrite)
}

/// A script that sets whether it ignores that the client leaves, and makes the directory `sub` as a sign. It waits for another
/// byte of the body, and then writes the results of its calls into `a.txt`.
fn calls(ignore: u64) -> Vec<u8> {
    let open = [DIR, 0, FILE.0, FILE.1, 0, 1 << 1 | 1 << 6, 0, 0, BUFFER];
    body(
        &[
            record(call("wcgi.ignore_abort"), &[ignore]),
            record(call("wcgi.client_left"), &[]),
            record(call("path_open"), &open),
            record(call("path_create_directory"), &[DIR, DIRECTORY.0, DIRECTORY.1]),
            record(call("fd_read"), &[0, VECTOR, 1, BUFFER]),
            record(call("wcgi.client_left"), &[]),
            record(call("fd_write"), &[OPEN, ERRORS, 1, BUFFER]),
            record(call("path_create_directory"), &[DIR, NOTHING.0, NOTHING.1]),
        ]
        .concat(),
    )
}

macro_rules! poll {
    ($future:ident) => {
        poll_fn(|cx| Poll::Ready($future.as_mut().poll(cx))).await
    };
}

/// A request whose client leaves when the script has made its sign, and sends the last byte then.
async fn leave(service: &WcgiService, dir: &Path, ignore: u64) {
    let (send, mut receive) = mpsc::unbounded_channel::<Result<Frame<Bytes>, io::Error>>();
    let first = calls(ignore);
    let length = first.len() + 1;
    send.send(Ok(Frame::data(first.into()))).unwrap();
    let request = Request::post("/")
        .body(Announced(StreamBody::new(stream::poll_fn(move |cx| receive.poll_recv(cx))), Some(length as u64)))
        .unwrap();
    let mut call = Box::pin(service.try_call(request));
    while !dir.join("d/sub").exists() {
        assert!(poll!(call).is_pending(), "it waits for its body");
        tokio::task::yield_now().await;
    }
    drop(call);
    if ignore == 0 {
        wait_for_permits(service.engine(), 16).await;
    }
    // With the script its body may be gone.
    let _ = send.send(Ok(Frame::data("x".into())));
    wait_for_permits(service.engine(), 16).await;
}

#[tokio::test]
async fn a_script_that_says_so_goes_on_without_its_client() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path()).build().unwrap();
    leave(&service, dir.path(), 1).await;
    assert!(dir.path().join("d/nothing").exists());
    let errors = fs::read(dir.path().join("d/a.txt")).unwrap();
    assert_eq!(errors.get(..6), Some(&[0, 0, 0, 0, 0, 1][..]), "done, a client, opened, made, read, no client");
}

#[tokio::test]
async fn one_that_takes_it_back_or_may_not_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let settings = service(dir.path());
    let service = settings.build().unwrap();
    leave(&service, dir.path(), 0).await;
    assert!(dir.path().join("d/sub").exists() && !dir.path().join("d/nothing").exists());

    let dir = tempfile::tempdir().unwrap();
    let service = self::service(dir.path()).ignore_abort(false).build().unwrap();
    let reply = post(&service, "/", body(&record(call("wcgi.ignore_abort"), &[1]))).await;
    assert_eq!(&reply.body[..], [NOTSUP]);
}

/// The deadline ends it all the same.
#[tokio::test]
async fn it_has_no_more_time_than_others() {
    let dir = tempfile::tempdir().unwrap();
    let deadline = Duration::from_millis(300);
    let service = service(dir.path()).deadline(deadline).build().unwrap();
    let (send, mut receive) = mpsc::unbounded_channel::<Result<Frame<Bytes>, io::Error>>();
    send.send(Ok(Frame::data(calls(1).into()))).unwrap();
    let request = Request::post("/")
        .body(Announced(StreamBody::new(stream::poll_fn(move |cx| receive.poll_recv(cx))), Some(10_000)))
        .unwrap();
    let mut call = Box::pin(service.try_call(request));
    while !dir.path().join("d/sub").exists() {
        let _ = poll!(call);
        tokio::task::yield_now().await;
    }
    drop(call);
    wait_for_permits(service.engine(), 16).await;
    assert!(!dir.path().join("d/nothing").exists());
}
