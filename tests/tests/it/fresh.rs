//! Fresh means fresh: nothing of an earlier instance is seen by a later one, whatever the kernel does with its pages.
//!
//! Guests look at all that an instance can write, and write over it. Meanwhile this process has its own pages pushed out and
//! moved. What a machine does not let a test do is said on stderr, and the rest is tested all the same.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, clippy::print_stderr, reason = "it asks the kernel to page, and says what it left out")]

use std::fs::{self, File};
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_util::stream;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use rustix::mm::{Advice, madvise};
use tokio::sync::mpsc;
use tower_wcgi::{EngineBuilder, ResponseBody, WcgiService};
use wcgi_tests::{Announced, are_components, builder, engine, get};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_finds_nothing() {
    beside_paging(&service("fresh", engine()), "CLEAN\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_finds_its_start_up_and_nothing_else() {
    beside_paging(&service("kept", engine()), kept()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_pagemap_scan_nothing_is_found_either() {
    let without_scan = || engine().pagemap_scan(false);
    beside_paging(&service("fresh", without_scan()), "CLEAN\n").await;
    beside_paging(&service("kept", without_scan()), kept()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_for_slots_nothing_is_found_either() {
    // More addresses than a process has.
    let without_room = || engine().max_concurrency(100_000);
    beside_paging(&service("fresh", without_room()), "CLEAN\n").await;
    beside_paging(&service("kept", without_room()), kept()).await;
}

fn service(guest: &str, engine: EngineBuilder) -> WcgiService {
    builder(guest).engine(engine.build().unwrap()).build().unwrap()
}

/// What the guest of that name answers. A component has no start-up.
fn kept() -> &'static str {
    if are_components() { "CLEAN 0\n" } else { "CLEAN 7\n" }
}

/// Every answer is `expected`, though pages are pushed out while instances have them, and moved at any time.
async fn beside_paging(service: &WcgiService, expected: &str) {
    let swap = Swap::on();
    let mut most = 0;
    for round in 0..ROUNDS {
        let mut held = Vec::new();
        for _ in 0..HELD {
            held.push(Held::begin(service).await);
        }
        page_out();
        most = most.max(swapped_kib());
        for held in held {
            assert_eq!(held.end().await, expected, "round {round}, swapped out");
        }
        for _ in 0..2 * HELD {
            assert_eq!(get(service, "/").await.text(), expected, "round {round}");
        }
    }
    if swap.is_some() {
        assert!(most > 1024, "pages were in swap: {most} KiB");
    }

    let compaction = Compaction::begin();
    let busy = || {
        let (service, expected) = (service.clone(), expected.to_owned());
        tokio::spawn(async move {
            for request in 0..BUSY {
                assert_eq!(get(&service, "/").await.text(), expected, "request {request} beside compaction");
            }
        })
    };
    let busy: Vec<_> = (0..4).map(|_| busy()).collect();
    for busy in busy {
        busy.await.unwrap();
    }
    drop(compaction);
}

/// A request whose instance has written all that it writes, and now waits.
struct Held {
    response: ResponseBody,
    answer: Vec<u8>,
    /// Its body ends with it.
    body: mpsc::UnboundedSender<Result<Frame<Bytes>, io::Error>>,
}

impl Held {
    async fn begin(service: &WcgiService) -> Self {
        let (body, mut receive) = mpsc::unbounded_channel();
        let request = Request::post("/").header("host", "localhost");
        // A body of unknown length would be waited for before the script starts.
        let body_of_one = Announced(StreamBody::new(stream::poll_fn(move |cx| receive.poll_recv(cx))), Some(1));
        let request = request.body(body_of_one).unwrap();
        let mut response = service.try_call(request).await.unwrap().into_body();
        // An answer comes after everything has been written over.
        let answer = response.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
        Self { response, answer, body }
    }

    /// What it answers in the end.
    async fn end(mut self) -> String {
        self.body.send(Ok(Frame::data(Bytes::from_static(b"x")))).unwrap();
        drop(self.body);
        while let Some(frame) = self.response.frame().await {
            self.answer.extend_from_slice(&frame.unwrap().into_data().unwrap_or_default());
        }
        String::from_utf8(self.answer).unwrap()
    }
}

/// Asks the kernel to push out all that this process can write.
fn page_out() {
    for line in fs::read_to_string("/proc/self/maps").unwrap().lines().filter(|line| line.contains(" rw-p ")) {
        let (start, end) = line.split_once(' ').and_then(|(range, _)| range.split_once('-')).unwrap();
        let [start, end] = [start, end].map(|address| usize::from_str_radix(address, 16).unwrap());
        let at = std::ptr::with_exposed_provenance_mut(start);
        // SAFETY: the content of a page stays the same wherever the kernel has it. What is gone by now is refused.
        let _ = unsafe { madvise(at, end - start, Advice::LinuxPageOut) };
    }
}

/// How much of this process is in swap.
fn swapped_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmSwap:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.unwrap_or_default()
}

/// Swap space of this test's own, while it exists.
struct Swap(tempfile::NamedTempFile);

impl Swap {
    fn on() -> Option<Self> {
        let file = tempfile::Builder::new().prefix("wcgi-swap-").tempfile_in("/var/tmp").ok()?;
        let path = file.path().to_str()?.to_owned();
        let run = |program: &str, arguments: &[&str]| {
            Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
        };
        // Only root may, and not on every file system.
        let is_on =
            run("fallocate", &["-l", "128M", &path]) && run("mkswap", &["-q", &path]) && run("swapon", &[&path]);
        if !is_on {
            eprintln!("no swap can be had here, so no page is swapped out in this test");
        }
        is_on.then_some(Self(file))
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg(self.0.path()).output();
    }
}

/// The kernel moves pages together, again and again, while this exists.
struct Compaction {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Compaction {
    fn begin() -> Option<Self> {
        if File::options().write(true).open(COMPACT).is_err() {
            eprintln!("only root may have the kernel compact its memory, so no page is moved in this test");
            return None;
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let _ = fs::write(COMPACT, "1");
            }
        });
        Some(Self { is_over, thread: Some(thread) })
    }
}

impl Drop for Compaction {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const COMPACT: &str = "/proc/sys/vm/compact_memory";
const ROUNDS: usize = 5;
/// Instances that are pushed out at once; an engine of the tests has sixteen.
const HELD: usize = 4;
const BUSY: usize = 300;
