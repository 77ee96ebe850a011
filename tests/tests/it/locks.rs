//! Scripts that lock parts of files with what the host has for it.

use std::fs;
use std::path::Path;

use tower_wcgi::{Access, WcgiBuilder};
use wcgi_tests::{Server, builder, post};

use crate::log;
use crate::turns::{Script, wait_until_it_queues};

fn locks(dir: &Path) -> WcgiBuilder {
    builder("locks").map_dir("/d", dir, Access::ReadWrite).deadline(None)
}

/// A directory with an SQLite database in it, as far as the host looks.
fn database() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("db"), "SQLite format 3\0 and so on").unwrap();
    dir
}

async fn opened(server: &Server, id: &str) -> Script {
    let mut script = Script::start(server, id).await;
    assert!(script.does("open 0 /d/db r+").await.starts_with("ok"));
    script
}

/// Most programs say no more than that they cannot open it.
#[tokio::test]
async fn that_a_data_base_is_in_wal_mode_is_said_once() {
    log::capture();
    let said = || log::about("").iter().filter(|line| line.message().contains("is in WAL mode")).count();
    let dir = database();
    let server = Server::start(locks(dir.path()).build().unwrap()).await;
    opened(&server, "journal").await;
    assert_eq!(said(), 0);
    fs::write(dir.path().join("db"), b"SQLite format 3\0\x10\0\x02\x02 and so on").unwrap();
    for id in ["wal-a", "wal-b"] {
        opened(&server, id).await;
    }
    assert_eq!(said(), 1);
}

#[tokio::test]
async fn readers_are_together_in_a_database_and_a_writer_alone() {
    let dir = database();
    let server = Server::start(locks(dir.path()).build().unwrap()).await;
    let mut first = opened(&server, "lock-a").await;
    let mut second = opened(&server, "lock-b").await;
    assert_eq!(first.does("lock 0 1 100 510").await, "ok 0");
    assert_eq!(second.does("lock 0 1 100 510").await, "ok 0");
    assert_eq!(first.does("lock 0 2 99 1").await, "ok 0");
    assert_eq!(second.does("test 0 2 99 1").await, "EAGAIN");
    assert_eq!(second.does("lock 0 2 99 1").await, "EAGAIN");
    assert_eq!(first.does("lock 0 2 100 510").await, "EAGAIN");
    assert_eq!(second.does("lock 0 0 0 0").await, "ok 0");
    assert_eq!(first.does("lock 0 2 100 510").await, "ok 0");
    assert_eq!(second.does("lock 0 1 300 1").await, "EAGAIN");
    assert_eq!(first.does("close 0").await, "ok 0");
    assert_eq!(second.does("lock 0 2 0 0").await, "ok 0");
}

#[tokio::test]
async fn locks_end_with_their_exchange_however_that_ends() {
    let dir = database();
    let server = Server::start(locks(dir.path()).build().unwrap()).await;
    let mut second = opened(&server, "lock-end").await;
    for (n, end) in ["trap", ""].into_iter().enumerate() {
        let mut first = opened(&server, &format!("lock-end-{n}")).await;
        assert_eq!(first.does("lock 0 2 0 0").await, "ok 0");
        assert_eq!(second.does("lock 0 1 5 1").await, "EAGAIN");
        match end {
            "" => drop(first),
            end => first.tell(end).await,
        }
        while second.does("lock 0 1 5 1").await != "ok 0" {}
        assert_eq!(second.does("lock 0 0 0 0").await, "ok 0");
    }
}

#[tokio::test]
async fn one_that_knows_no_locks_is_kept_apart_from_those_that_do() {
    let dir = database();
    let server = Server::start(locks(dir.path()).build().unwrap()).await;
    let plain = builder("turns").map_dir("/d", dir.path(), Access::ReadWrite).deadline(None).build().unwrap();
    let plain = Server::start(plain).await;
    let mut locking = opened(&server, "lock-mix-a").await;
    assert_eq!(locking.does("lock 0 1 0 0").await, "ok 0");
    let mut writer = Script::start(&plain, "lock-mix-b").await;
    writer.tell("open 0 /d/db r+").await;
    wait_until_it_queues("lock-mix-b").await;
    assert_eq!(locking.does("close 0").await, "ok 0");
    assert!(writer.hears().await.starts_with("ok"));
    let mut late = opened(&server, "lock-mix-c").await;
    late.tell("lock 0 1 0 0").await;
    wait_until_it_queues("lock-mix-c").await;
    assert!(writer.does("close 0").await.starts_with("ok"));
    assert_eq!(late.hears().await, "ok 0");
}

#[tokio::test]
async fn what_cannot_be_locked_is_an_error() {
    let dir = database();
    let service = locks(dir.path()).build().unwrap();
    let said = post(
        &service,
        "/",
        "open 0 /d/db r+\nlock 0 3 0 0\nlock 0 1 18446744073709551615 2\nlock -1 1 0 0\nlock -5 1 0 0\ntest 0 0 0 0\n",
    );
    assert_eq!(said.await.text().lines().skip(1).collect::<Vec<_>>(), ["EINVAL", "EINVAL", "EBADF", "EBADF", "EINVAL"]);
    let many: String = (0..300).map(|n| format!("lock 0 1 {} 1\n", 2 * n)).collect();
    let said = post(&service, "/", format!("open 0 /d/db r+\n{many}")).await.text();
    assert_eq!(said.lines().filter(|line| *line == "ok 0").count(), 256);
    assert_eq!(said.lines().last(), Some("ENOLCK"));
}
