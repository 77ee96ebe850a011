//! What a script does to descriptors changes nothing about what it may do.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tower_wcgi::{Access, WcgiService};
use wcgi_tests::{are_components, builder, get};

fn service(guest: &str, dir: &Path) -> WcgiService {
    builder(guest).map_dir("/d", dir, Access::ReadWrite).build().unwrap()
}

/// In the private `/tmp` nothing has to be looked at before it is opened; what only has its number is not private.
#[cfg(unix)]
#[tokio::test]
async fn a_mount_with_the_number_of_the_private_tmp_is_still_a_mount() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    for pipe in ["pipe", "sub/pipe"] {
        mknodat(CWD, dir.path().join(pipe), FileType::Fifo, Mode::RUSR, 0).unwrap();
    }
    let service = service("descriptors", dir.path());
    assert_eq!(get(&service, "/?op=renumber").await.text(), "renumber: ok\nopen: ENOTSUP\n");
    let reused = get(&service, "/?op=reuse").await.text();
    assert_eq!(reused, "close: ok\nopen sub: ok\nsame number: ok\nopen: ENOTSUP\n");
}

#[tokio::test]
async fn a_large_file_goes_through_one_call() {
    let dir = tempfile::tempdir().unwrap();
    let service = service("descriptors", dir.path());
    for bytes in [1 << 20, 5 << 20] {
        let text = get(&service, &format!("/?op=large&n={bytes}")).await.text();
        // A component reads no more by one call.
        let read = if are_components() { 64 << 10 } else { bytes };
        assert_eq!(text, format!("large: ok {read} of {bytes}\n"));
        assert_eq!(fs::metadata(dir.path().join("large")).unwrap().len(), bytes);
    }
}

/// What comes and goes meanwhile may be listed or not; what stays is, and nobody is told of an error.
#[tokio::test]
async fn a_directory_that_changes_is_listed_with_all_that_stays() {
    let dir = tempfile::tempdir().unwrap();
    let stays: Vec<String> = (0..200).map(|n| format!("stays-{n:03}")).collect();
    for name in &stays {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let service = service("files", dir.path());
    let over = Arc::new(AtomicBool::new(false));
    let changing = thread::spawn({
        let (over, dir) = (Arc::clone(&over), dir.path().to_owned());
        move || {
            for n in 0.. {
                if over.load(Ordering::Relaxed) {
                    return n;
                }
                let path = dir.join(format!("changes-{}", n % 50));
                fs::write(&path, "").unwrap();
                fs::remove_file(&path).unwrap();
            }
            unreachable!("it counts without end");
        }
    });
    for _ in 0..200 {
        let text = get(&service, "/?op=list&path=/d").await.text();
        let kept = text.lines().filter(|line| line.starts_with("stays-"));
        assert!(kept.eq(&stays), "{text}");
    }
    over.store(true, Ordering::Relaxed);
    assert!(changing.join().unwrap() > 200, "it changed all the time");
}
