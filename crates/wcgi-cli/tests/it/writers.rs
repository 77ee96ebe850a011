//! Two processes that write to one directory: the second says so.

use std::path::Path;

use rustix::process::Signal;
use wcgi_tests::guest;

use crate::process::Serving;

fn serve(directory: &Path, access: &str) -> Serving {
    Serving::start(&guest("files"), &["--mapdir", &format!("/data:{}{access}", directory.display())])
}

/// The lines that it has logged until a request was answered.
fn log(serving: &Serving) -> Vec<String> {
    serving.get("/?op=read&path=/data/x");
    serving.lines_until("GET /")
}

fn warns(log: &[String]) -> bool {
    log.iter().any(|line| line.contains("WARN") && line.contains("another process serves"))
}

#[test]
fn a_second_writer_is_warned_of_until_the_first_has_ended() {
    let data = tempfile::tempdir().unwrap();
    let first = serve(data.path(), "");
    assert!(!warns(&log(&first)));
    // By another name.
    let link = data.path().with_extension("link");
    std::os::unix::fs::symlink(data.path(), &link).unwrap();
    let second = serve(&link, "");
    std::fs::remove_file(&link).unwrap();
    assert!(warns(&log(&second)));
    assert!(!warns(&log(&serve(data.path(), ":ro"))), "a reader is in nobody's way");

    // However they end.
    first.signal(Signal::KILL);
    first.wait();
    assert!(warns(&log(&serve(data.path(), ""))), "the second is there");
    second.signal(Signal::TERM);
    second.wait();
    assert!(!warns(&log(&serve(data.path(), ""))));
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
}

#[test]
fn a_reload_of_the_same_process_is_no_second_writer() {
    let data = tempfile::tempdir().unwrap();
    let serving = serve(data.path(), "");
    serving.signal(Signal::HUP);
    let log = serving.lines_until("reloaded");
    assert!(!warns(&log), "{log:?}");
    assert!(warns(&self::log(&serve(data.path(), ""))), "it has the directory still");
}
