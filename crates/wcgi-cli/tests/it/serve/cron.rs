//! Requests that the server makes itself.

use std::fs;

use rustix::process::Signal;

use super::{FREE, configured, serve, write};

#[test]
fn an_entry_is_asked_for_every_so_often_and_never_twice_at_once() {
    let site = |every: &str, path: &str| {
        format!(
            "{FREE}[[site]]\nname = 'c'\nhosts = ['*.h.example']\npath = '/app'\npackage = GUEST(sleep)\n\
             cron = [{{ every = '{every}', path = '{path}' }}]\n"
        )
    };
    let dir = configured(&site("200ms", "/job?ms=1000"));
    let serving = serve(dir.path(), &[]);
    let begin = std::time::Instant::now();
    for _ in 0..3 {
        let line = serving.line("\"GET /app/job?ms=1000 HTTP/1.1\" 200");
        assert!(line.contains(" 127.0.0.1 \"GET") && line.contains("site=\"c\""), "{line}");
    }
    assert!(begin.elapsed() > std::time::Duration::from_secs(3), "one after the other");
    write(dir.path(), &site("200ms", "/other"));
    serving.signal(Signal::HUP);
    serving.line("reloaded");
    serving.line("\"GET /app/other HTTP/1.1\"");
    // What ran at the reload may end after it, and comes no more.
    let lines: Vec<_> = (0..5).map(|_| serving.line("\"GET /app")).collect();
    assert!(lines.iter().filter(|line| line.contains("/job")).count() <= 1, "{lines:?}");
}

#[test]
fn the_script_is_run() {
    let dir = configured(&format!(
        "{FREE}[[site]]\nhosts = ['h.example']\npackage = GUEST(files)\nmapdir = ['/d:d']\n\
         cron = [{{ every = '100ms', path = '/?op=write&path=/d/ran&data=yes' }}]\n"
    ));
    fs::create_dir(dir.path().join("d")).unwrap();
    let serving = serve(dir.path(), &[]);
    serving.line("\"GET /?op=write");
    assert_eq!(fs::read_to_string(dir.path().join("d/ran")).unwrap(), "yes");
}
