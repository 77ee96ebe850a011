//! Scripts that write the same files at the same time: one after the other, without waiting for ever.

use std::fs;
use std::path::Path;
use std::time::Duration;

use http::Request;
use http_body_util::Full;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tower_wcgi::{Access, ErrorKind, WcgiBuilder};
use wcgi_tests::{Server, ask, builder, engine, get, post, read_until, wait_for_permits};

use crate::log;

fn turns(dir: &Path) -> WcgiBuilder {
    builder("turns").map_dir("/d", dir, Access::ReadWrite)
}

/// A script that is told line by line what to do.
pub(crate) struct Script(TcpStream);

impl Script {
    pub(crate) async fn start(server: &Server, id: &str) -> Self {
        log::capture();
        let mut stream = server.connect().await;
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nX-Request-Id: {id}\r\nContent-Length: 1000000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        read_until(&mut stream, "\r\n\r\n").await;
        Self(stream)
    }

    pub(crate) async fn tell(&mut self, line: &str) {
        self.0.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// What the script said to the line, without what the connection puts around it.
    pub(crate) async fn hears(&mut self) -> String {
        let chunk = read_until(&mut self.0, "\n\r\n").await;
        chunk.lines().nth(1).unwrap_or_default().to_owned()
    }

    pub(crate) async fn does(&mut self, line: &str) -> String {
        self.tell(line).await;
        self.hears().await
    }
}

/// Waits until the request with this id waits for its turn.
pub(crate) async fn wait_until_it_queues(id: &str) {
    log::wait_for(id, |line| line.contains("waits for its turn")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_increment_of_a_counter_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let service = turns(dir.path()).build().unwrap();
    let mut clients = JoinSet::new();
    for _ in 0..32 {
        let service = service.clone();
        clients.spawn(async move {
            let mut seen = Vec::new();
            for _ in 0..50 {
                let text = post(&service, "/", "open 0 /d/n c+\nadd 0\nclose 0\n").await.text();
                let count = text.lines().nth(1).and_then(|line| line.strip_prefix("ok ")).map(str::to_owned);
                seen.push(count.unwrap_or_else(|| panic!("{text}")).parse::<u32>().unwrap());
            }
            seen
        });
    }
    let mut seen: Vec<u32> = clients.join_all().await.concat();
    seen.sort_unstable();
    assert_eq!(seen, (1..=1600).collect::<Vec<_>>());
    assert_eq!(fs::read_to_string(dir.path().join("n")).unwrap(), "1600");
}

#[tokio::test]
async fn a_file_opened_for_writing_is_the_next_ones_when_it_is_closed_or_its_exchange_ends() {
    let dir = tempfile::tempdir().unwrap();
    let service = turns(dir.path()).deadline(None).build().unwrap();
    let server = Server::start(service.clone()).await;
    for (n, end) in ["close 0", "trap", ""].into_iter().enumerate() {
        let (first_id, second_id) = (format!("turn-{n}-a"), format!("turn-{n}-b"));
        let mut first = Script::start(&server, &first_id).await;
        let mut second = Script::start(&server, &second_id).await;
        assert!(first.does("open 0 /d/f c+").await.starts_with("ok"));
        second.tell("open 0 /d/f w").await;
        wait_until_it_queues(&second_id).await;
        assert!(first.does("add 0").await.starts_with("ok"), "it was not emptied under its writer");
        match end {
            "" => drop(first),
            end => first.tell(end).await,
        }
        assert!(second.hears().await.starts_with("ok"), "after {end:?}");
        assert_eq!(fs::read_to_string(dir.path().join("f")).unwrap(), "");
    }
}

#[tokio::test]
async fn readers_and_those_who_append_do_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(turns(dir.path()).deadline(None).build().unwrap()).await;
    let mut writer = Script::start(&server, "reads-a").await;
    let mut other = Script::start(&server, "reads-b").await;
    assert!(writer.does("open 0 /d/f w+").await.starts_with("ok"));
    for line in ["open 0 /d/f r", "open 1 /d/f a", "open 2 /d/other w", "open 3 /tmp/f w"] {
        assert!(other.does(line).await.starts_with("ok"), "{line}");
    }
}

#[tokio::test]
async fn each_has_a_tmp_of_its_own_and_no_line_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(turns(dir.path()).deadline(None).build().unwrap()).await;
    let mut first = Script::start(&server, "tmp-a").await;
    let mut second = Script::start(&server, "tmp-b").await;
    assert!(first.does("open 0 /tmp/f w").await.starts_with("ok"));
    assert!(second.does("open 0 /tmp/f w").await.starts_with("ok"));
}

#[tokio::test]
async fn who_would_wait_for_ever_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(turns(dir.path()).deadline(None).build().unwrap()).await;
    let mut first = Script::start(&server, "circle-a").await;
    let mut second = Script::start(&server, "circle-b").await;
    assert!(first.does("open 0 /d/a w").await.starts_with("ok"));
    assert!(second.does("open 0 /d/b w").await.starts_with("ok"));
    first.tell("open 1 /d/b w").await;
    wait_until_it_queues("circle-a").await;
    assert_eq!(second.does("open 1 /d/a w").await, "EDEADLK");
    assert!(second.does("close 0").await.starts_with("ok"), "it goes on");
    assert!(first.hears().await.starts_with("ok"));
}

#[tokio::test]
async fn the_deadline_ends_waiting_too_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine().build().unwrap();
    let engine_permits = engine.available_permits();
    let patient = turns(dir.path()).engine(engine.clone()).deadline(None).build().unwrap();
    let server = Server::start(patient).await;
    let mut holder = Script::start(&server, "late-turn-a").await;
    assert!(holder.does("open 0 /d/f w").await.starts_with("ok"));
    let hasty = builder("files").engine(engine.clone()).map_dir("/d", dir.path(), Access::ReadWrite);
    let hasty = hasty.deadline(Duration::from_millis(100)).build().unwrap();
    let late = Request::get("/?op=write&path=/d/f&data=x").header("x-request-id", "late-turn-b");
    let reply = ask(&hasty, late.body(Full::default()).unwrap()).await;
    assert_eq!(reply.failure, Some(ErrorKind::DeadlineExceeded));
    let line = log::reason("late-turn-b", "deadline-exceeded").await;
    assert!(line.contains("waited for its turn to write a file"), "{line:?}");
    drop(holder);
    wait_for_permits(&engine, engine_permits).await;
    let again = builder("files").engine(engine).map_dir("/d", dir.path(), Access::ReadWrite).build().unwrap();
    assert!(get(&again, "/?op=write&path=/d/f&data=x").await.text().contains(": ok"));
}

#[tokio::test]
async fn a_lock_directory_is_waited_for_and_ends_with_its_exchange() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("db"), "").unwrap();
    // Left behind by another host.
    fs::create_dir(dir.path().join("db.lock")).unwrap();
    let server = Server::start(turns(dir.path()).deadline(None).build().unwrap()).await;
    for (n, end) in ["rmdir /d/db.lock", "trap", ""].into_iter().enumerate() {
        let (first_id, second_id) = (format!("lock-{n}-a"), format!("lock-{n}-b"));
        let mut first = Script::start(&server, &first_id).await;
        let mut second = Script::start(&server, &second_id).await;
        assert_eq!(first.does("mkdir /d/db.lock").await, "ok 0");
        assert_eq!(first.does("mkdir /d/db.lock").await, "EEXIST", "as for a second connection of one process");
        assert_eq!(first.does("is /d/db.lock").await, "ENOENT");
        second.tell("mkdir /d/db.lock").await;
        wait_until_it_queues(&second_id).await;
        match end {
            "" => drop(first),
            end => first.tell(end).await,
        }
        assert_eq!(second.hears().await, "ok 0", "after {end:?}");
        assert_eq!(second.does("rmdir /d/db.lock").await, "ok 0");
        assert_eq!(second.does("rmdir /d/db.lock").await, "ENOENT");
        assert!(!dir.path().join("db.lock").exists());
    }
}

#[tokio::test]
async fn a_directory_that_stands_for_no_file_is_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let service = turns(dir.path()).build().unwrap();
    let text = post(&service, "/", "mkdir /d/x.lock\nis /d/x.lock\nmkdir /d/x.lock\n").await.text();
    assert_eq!(text, "ok 0\nok 0\nEEXIST\n");
    assert!(dir.path().join("x.lock").is_dir());
}

/// The header of a database is enough: nothing here reads further.
#[tokio::test]
async fn a_database_that_is_locked_by_directory_is_open_to_many() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("db"), b"SQLite format 3\0").unwrap();
    let server = Server::start(turns(dir.path()).deadline(None).build().unwrap()).await;
    let mut first = Script::start(&server, "base-a").await;
    let mut second = Script::start(&server, "base-b").await;
    assert!(first.does("open 0 /d/db r+").await.starts_with("ok"));
    second.tell("open 0 /d/db r+").await;
    wait_until_it_queues("base-b").await;
    assert_eq!(first.does("mkdir /d/db.lock").await, "ok 0");
    assert_eq!(first.does("rmdir /d/db.lock").await, "ok 0");
    assert!(first.does("close 0").await.starts_with("ok"));
    assert!(second.hears().await.starts_with("ok"));
    let mut third = Script::start(&server, "base-c").await;
    assert!(third.does("open 0 /d/db r+").await.starts_with("ok"), "the script is known to lock by directory now");
    third.tell("mkdir /d/db.lock").await;
    wait_until_it_queues("base-c").await;
    drop(second);
    assert_eq!(third.hears().await, "ok 0", "who has it open without a lock comes first all the same");
    assert_eq!(third.does("rmdir /d/db.lock").await, "ok 0");
    assert!(third.does("open 1 /d/db w+").await.starts_with("ok"));
    assert_eq!(fs::read(dir.path().join("db")).unwrap(), b"", "emptied like any other file");
}

/// One page that uses a lock directory for something else says nothing of how the script's SQLite locks.
#[tokio::test]
async fn a_lock_beside_another_file_leaves_databases_their_turns() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("db"), b"SQLite format 3\0").unwrap();
    fs::write(dir.path().join("feed"), "").unwrap();
    let server = Server::start(turns(dir.path()).deadline(None).build().unwrap()).await;
    let mut first = Script::start(&server, "feed-a").await;
    let mut second = Script::start(&server, "feed-b").await;
    assert_eq!(first.does("mkdir /d/feed.lock").await, "ok 0");
    assert!(first.does("open 0 /d/db r+").await.starts_with("ok"));
    second.tell("open 0 /d/db r+").await;
    wait_until_it_queues("feed-b").await;
    assert!(first.does("close 0").await.starts_with("ok"));
    assert!(second.hears().await.starts_with("ok"));
}
