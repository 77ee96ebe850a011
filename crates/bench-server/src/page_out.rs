//! Has the kernel push out and move the pages of another process, again and again: what a machine without room does to a server.

use std::ffi::c_void;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context as _;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Its id.
    process: i32,
}

/// Goes on until stdin or the process ends, and prints a line after each round through its mappings.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let id = Pid::from_raw(options.process).context("a process has a positive id")?;
    let process = pidfd_open(id, PidfdFlags::empty()).context("there is no such process")?;
    static OVER: AtomicBool = AtomicBool::new(false);
    thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        OVER.store(true, Ordering::Relaxed);
    });
    // Only root may; the others push out all the same.
    thread::spawn(|| while fs::write("/proc/sys/vm/compact_memory", "1").is_ok() && !OVER.load(Ordering::Relaxed) {});
    let mut round = 0_u64;
    while !OVER.load(Ordering::Relaxed) {
        let Ok(maps) = fs::read_to_string(format!("/proc/{id}/maps")) else { break };
        let mut advised = 0;
        for range in maps.lines().filter_map(writable) {
            advised += push_out(&process, range);
        }
        round += 1;
        let swapped = swapped_kib(id).unwrap_or_default();
        if writeln!(io::stdout(), "round={round} advised={advised} swapped={swapped}").is_err() {
            break;
        }
    }
    Ok(())
}

/// The addresses of a line of `/proc/PID/maps`, if they are private and can be written.
fn writable(line: &str) -> Option<std::ops::Range<usize>> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-').filter(|_| rest.starts_with("rw-p"))?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

/// How many bytes the kernel has tried to push out.
#[expect(unsafe_code, reason = "there is no safe interface to advice for another process")]
fn push_out(process: &OwnedFd, range: std::ops::Range<usize>) -> u64 {
    let part = libc::iovec { iov_base: range.start as *mut c_void, iov_len: range.len() };
    let (vector, count, flags) = (&raw const part, 1_usize, 0_u32);
    // SAFETY: the vector has one part and is there for as long as the call takes. Its addresses are the other process's, in
    // which no content changes by it.
    let advised = unsafe {
        libc::syscall(libc::SYS_process_madvise, process.as_raw_fd(), vector, count, libc::MADV_PAGEOUT, flags)
    };
    u64::try_from(advised).unwrap_or_default()
}

/// How much of it is in swap.
fn swapped_kib(id: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmSwap:")?.trim().strip_suffix(" kB")?.parse().ok())
}
