//! A file system that does not answer holds its own scripts, and nobody else.
//!
//! It is one of FUSE, in Python. Where there is no FUSE, no Python or no right to mount, the test says so and passes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http::Method;
use tower_wcgi::{Access, ErrorKind};
use wcgi_tests::{builder, get, request, root, wait_for_permits};

/// A mounted file system. Every call that waits for it fails when it is dropped.
struct Hanging<'a> {
    server: Child,
    at: &'a Path,
}

impl<'a> Hanging<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        let script = root().join("tests/tests/it/hang.py");
        let mut python = Command::new("python3");
        python.arg(script).arg(at).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = python.spawn().ok()?;
        let mut line = String::new();
        BufReader::new(server.stdout.take()?).read_line(&mut line).ok()?;
        if line != "mounted\n" {
            server.wait().ok()?;
            return None;
        }
        Some(Self { server, at })
    }
}

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = Command::new("umount").arg("-l").arg(self.at).status();
    }
}

#[tokio::test]
async fn the_client_gets_its_504_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let Some(hanging) = Hanging::mount(dir.path()) else {
        println!("there is no FUSE here, or it may not be used");
        return;
    };
    let service = builder("files").map_dir("/d", dir.path(), Access::ReadWrite);
    let service = service.deadline(Duration::from_secs(1)).build().unwrap();
    let read = "/?op=read&path=/d/a.txt";
    assert_eq!(get(&service, read).await.text(), "read /d/a.txt: ok 5\nslow\n\n");
    // More than there are threads.
    let start = Instant::now();
    let stuck: Vec<_> = (0..8)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move { get(&service, "/?op=read&path=/d/hang").await.failure })
        })
        .collect();
    wait_for_permits(service.engine(), 8).await;
    assert_eq!(get(&service, read).await.text(), "read /d/a.txt: ok 5\nslow\n\n", "others go on");
    for stuck in stuck {
        assert_eq!(stuck.await.unwrap(), Some(ErrorKind::DeadlineExceeded));
    }
    assert!(start.elapsed() < Duration::from_secs(20), "the file system was not waited for");
    assert_eq!(service.engine().available_permits(), 8, "what does not return has its permit");
    let Ok(response) = service.try_call(request(Method::GET, read, "")).await else { panic!("others go on") };
    drop(response);
    drop(hanging);
    wait_for_permits(service.engine(), 16).await;
}
