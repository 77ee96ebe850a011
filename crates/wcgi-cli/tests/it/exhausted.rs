//! What the host runs out of: disk, descriptors, memory. Each has its line in the log, and the server lives on.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tempfile::TempDir;
use wcgi_tests::{cache_dir, guest};

use crate::process::{Serving, run, wcgi};

/// `wcgi run` of a guest with its cache at `cache`, below the limit that `ulimit` sets.
fn limited(ulimit: &str, guest_name: &str, cache: &Path) -> Command {
    let run = wcgi(&["run", "--addr", "127.0.0.1:0", "--cache-dir"]);
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit {ulimit} && exec \"$0\" \"$@\"")).arg(run.get_program());
    command.args(run.get_args()).arg(cache).arg(guest(guest_name)).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// POSTs a mebibyte whose length is not said, so that it is spooled. Gives the status line.
fn spooled(serving: &Serving) -> String {
    let mut stream = serving.connect();
    let head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = format!("{:x}\r\n{}\r\n0\r\n\r\n", 1 << 20, "x".repeat(1 << 20));
    stream.write_all(head.as_bytes()).unwrap();
    // It may be refused before it is read.
    let _ = stream.write_all(body.as_bytes());
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response);
    String::from_utf8_lossy(&response).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn at_the_limit_of_file_sizes_writes_fail_and_the_server_lives() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    // Units are 512 or 1024 bytes.
    let serving = Serving::spawn(limited("-f 8", "count", &cache));
    assert!(serving.line("WARN").contains("the cache of compiled modules cannot be written"));
    assert!(!spooled(&serving).contains("200"));
    assert!(serving.line("ERROR").contains("cannot keep the request's body in a temporary file"));
    assert!(serving.get("/").contains("bytes=0"));
    assert!(files(&cache).is_empty());
}

#[test]
fn without_descriptors_connections_wait_and_the_log_says_so_once() {
    let serving = Serving::spawn(limited("-n 48", "hello", &cache_dir()));
    let idle: Vec<_> = (0..80).map(|_| serving.connect()).collect();
    assert!(serving.line("WARN").contains("cannot accept connections"));
    drop(idle);
    assert!(serving.get("/").contains("Hello"));
    let later = serving.lines_until("GET /");
    // Once for each time that it could not, not at each try.
    assert!(later.iter().filter(|line| line.contains("cannot accept")).count() < 10, "{later:?}");
}

/// Without room for the addresses of all each instance is mapped by itself, so it can be seen to be refused.
#[cfg(target_os = "linux")]
#[test]
fn without_memory_an_exchange_is_500_and_the_next_one_is_served() {
    let serving = Serving::spawn(limited("-S -v 4000000", "hello", &cache_dir()));
    assert!(serving.line("WARN").contains("no room for"));
    assert!(serving.get("/").contains("Hello"));
    let status = fs::read_to_string(format!("/proc/{}/status", serving.id())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let size: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
    let set = |current| {
        let pid = Pid::from_raw(i32::try_from(serving.id()).unwrap());
        prlimit(pid, Resource::As, Rlimit { current, maximum: None }).unwrap();
    };
    // Less than the guest's memory, more than a connection needs.
    set(Some((size << 10) + (1 << 20)));
    assert!(serving.get("/").starts_with("HTTP/1.1 500"));
    assert!(serving.line("ERROR").contains("the host has no memory left for an instance"));
    set(None);
    assert!(serving.get("/").contains("Hello"));
}

/// A control group with so much memory, which only root can make.
struct ControlGroup(PathBuf);

impl ControlGroup {
    #[expect(clippy::print_stdout, reason = "a test that is left out says so")]
    fn new(bytes: u64) -> Option<Self> {
        let name = format!("wcgi-test-{}-{bytes}", std::process::id());
        let (one, two) = ("/sys/fs/cgroup/memory", "/sys/fs/cgroup");
        let (root, limit) = if Path::new(one).is_dir() { (one, "memory.limit_in_bytes") } else { (two, "memory.max") };
        let group = Self(Path::new(root).join(name));
        let made = fs::create_dir(&group.0).and_then(|()| fs::write(group.0.join(limit), bytes.to_string()));
        match made {
            Ok(()) => Some(group),
            Err(error) => {
                println!("no control group can be made: {error}");
                None
            }
        }
    }

    /// `command`, run in it.
    fn run(&self, command: &Command) -> Command {
        let mut inside = Command::new("sh");
        inside.args(["-c", "echo $$ > \"$1/cgroup.procs\" && shift && exec \"$@\"", "sh"]).arg(&self.0);
        inside.arg(command.get_program()).args(command.get_args()).env_remove("RUST_LOG").stdin(Stdio::null());
        inside
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// The kernel would end the server, so that is said at its start. With limits that fit, scripts fail and the server lives.
#[cfg(target_os = "linux")]
#[test]
fn in_a_control_group_limits_that_fit_keep_the_server_alive() {
    let Some(group) = ControlGroup::new(256 << 20) else { return };
    let serving = Serving::spawn(group.run(&run(&guest("hello"), &[])));
    let said = serving.line("control group");
    assert!(said.contains("allows 256 MiB") && said.contains("128 requests at once with 256 MiB each"), "{said}");
    drop(serving);

    let limits = ["--max-concurrency", "4", "--max-memory", "32MiB"];
    let serving = Serving::spawn(group.run(&run(&guest("grow"), &limits)));
    let mut asking: Vec<_> = (0..64).map(|_| serving.connect()).collect();
    for stream in &mut asking {
        stream.write_all(b"GET /?mib=100 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    }
    for mut stream in asking {
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert!(response.contains("failed after") || response.contains(" 503 "), "{response}");
    }
    assert!(serving.get("/?mib=1").contains("grew 1 MiB"));
    assert!(serving.lines_until("mib=1").iter().all(|line| !line.contains("control group")));
}

/// A file system of its own, which only root can mount.
struct Disk(TempDir);

impl Disk {
    fn mount(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is being killed may still have files in it.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

#[test]
fn on_a_full_disk_nothing_is_kept_and_the_server_lives() {
    let Some(disk) = Disk::mount("size=64k,mode=700") else { return };
    let cache = disk.path().join("cache");
    let serve = |guest_name: &str| {
        let mut command = wcgi(&["run", "--addr", "127.0.0.1:0", "--cache-dir"]);
        command.arg(&cache).arg(guest(guest_name)).env("TMPDIR", disk.path());
        Serving::spawn(command)
    };
    let serving = serve("count");
    let warning = serving.line("WARN");
    assert!(warning.contains("the cache of compiled modules cannot be written"), "{warning}");
    assert!(warning.contains("No space left on device"), "{warning}");
    assert!(files(&cache).is_empty(), "half a file takes no room");
    assert!(spooled(&serving).contains(" 500 "));
    assert!(serving.line("ERROR").contains("cannot keep the request's body in a temporary file"));
    assert!(serving.get("/").contains("bytes=0"));
    drop(serving);

    let serving = serve("files");
    let rest = fs::File::create(disk.path().join("rest")).and_then(|mut file| file.write_all(&[0; 128 << 10]));
    rest.unwrap_err();
    let written = serving.get("/?op=write&path=/tmp/a&data=x&op=list&path=/tmp");
    assert!(written.contains("write /tmp/a: ENOSPC"), "{written}");
    fs::remove_file(disk.path().join("rest")).unwrap();
    assert!(serving.get("/?op=write&path=/tmp/a&data=x").contains("write /tmp/a: ok"));
}

#[test]
fn a_cache_on_a_read_only_disk_is_read() {
    let Some(disk) = Disk::mount("size=16m,mode=700") else { return };
    let warnings = |guest_name: &str| {
        let serving = Serving::start(&guest(guest_name), &["--cache-dir", disk.path().to_str().unwrap()]);
        assert!(serving.get("/").starts_with("HTTP/1.1 200"));
        serving.lines_until("GET /").into_iter().filter(|line| line.contains("WARN")).collect::<Vec<_>>()
    };
    assert_eq!(warnings("hello"), [""; 0]);
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(disk.path()).output().unwrap();
    assert!(remounted.status.success());
    assert_eq!(warnings("hello"), [""; 0]);
    let warnings = warnings("table");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("cannot be written") && warnings[0].contains("Read-only file system"));
}

/// All files below `dir`.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        files.extend(if path.is_dir() { self::files(&path) } else { vec![path] });
    }
    files
}
