//! `cargo xtask bench soak --paging`: requests to guests that look for what earlier instances have left, while the kernel pushes
//! the server's pages out and moves them. Fails when one of them finds anything.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};

use super::client::{Client, Reply};
use super::figures;
use super::process::{Output, Server};
use crate::workspace::Workspace;
use crate::{guests, program};

/// `wcgi` is what serves; `bench-server` lies beside it.
pub(crate) fn run(workspace: &Workspace, wcgi: &Path, requests: u64) -> Result<()> {
    let guests = GUESTS.map(|(name, _)| name.to_owned());
    guests::build(workspace, &guests, false)?;
    let directory = workspace.root().join("target/bench");
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let swap = Swap::on(&directory);
    let mut leaks = 0;
    for (name, clean) in GUESTS {
        let package = workspace.guests().join(name).with_extension("wat");
        let mut serve = Command::new(wcgi);
        serve
            .args(["run", "--quiet", "--addr", "127.0.0.1:0", "--cache-dir"])
            .arg(directory.join("cache"))
            .arg(package);
        let server = Server::start("wcgi", &mut serve, Output::Stderr)?;
        let before = paged()?;
        let mut pager = Pager::start(&wcgi.with_file_name("bench-server"), server.id()?)?;
        let counts = Counts { clean, most: requests / GUESTS.len() as u64, ..Counts::default() };
        let ended = load(&server, &pager, &counts);
        let (rounds, swapped) = pager.end();
        let after = paged()?;
        let [answered, leaked] = [&counts.answered, &counts.leaked].map(|count| count.load(Ordering::Relaxed));
        println!("{name}: {answered} requests, {leaked} leaks");
        println!(
            "  the server's pages were pushed out {rounds} times, at most {:.1} MiB were in swap at once",
            swapped / 1024.0
        );
        for ((what, before), (_, after)) in before.iter().zip(after) {
            println!("  {what}: {before} before, {after} after");
        }
        leaks += leaked;
        ended?;
        ensure!(rounds > 0, "no page was pushed out, so nothing was tested");
    }
    drop(swap);
    ensure!(leaks == 0, "{leaks} requests saw what an earlier instance had left");
    Ok(())
}

/// What was asked and answered.
#[derive(Debug, Default)]
struct Counts {
    /// What an answer says that has found nothing.
    clean: &'static str,
    most: u64,
    answered: AtomicU64,
    leaked: AtomicU64,
}

impl Counts {
    fn are_complete(&self) -> bool {
        self.answered.load(Ordering::Relaxed) >= self.most
    }

    fn add(&self, reply: &Reply) -> Result<()> {
        let text = String::from_utf8_lossy(&reply.body);
        ensure!(reply.status == 200, "the server answers {}: {text}", reply.status);
        if !text.contains(self.clean) {
            println!("  a leak: {}", text.trim_end());
            self.leaked.fetch_add(1, Ordering::Relaxed);
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Some connections ask as fast as they are answered. Others hold an instance until its pages were pushed out.
fn load(server: &Server, pager: &Pager, counts: &Counts) -> Result<()> {
    let busy = || {
        let mut client = Client::connect(server.address)?;
        while !counts.are_complete() {
            counts.add(&client.get("/")?)?;
        }
        Ok(())
    };
    let holding = || {
        let mut client = Client::connect(server.address)?;
        while !counts.are_complete() {
            client.send("POST", "/", "Content-Length: 1\r\n")?;
            pager.wait_for_rounds(2);
            counts.add(&client.finish(b"x")?)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let busy: Vec<_> = (0..BUSY).map(|_| scope.spawn(busy)).collect();
        let holding: Vec<_> = (0..HOLDING).map(|_| scope.spawn(holding)).collect();
        let ended =
            busy.into_iter().chain(holding).map(|client| client.join().map_err(|_| anyhow!("a thread panicked"))?);
        ended.collect::<Vec<Result<()>>>().into_iter().collect()
    })
}

/// A process that has the server's pages pushed out and moved.
struct Pager {
    child: Child,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    rounds: u64,
    most_swapped_kib: f64,
    is_over: bool,
}

impl Pager {
    fn start(program: &Path, process: u32) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["page-out", &process.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
        let lines = BufReader::new(child.stdout.take().context("it was piped")?).lines();
        let seen = Arc::<(Mutex<Seen>, Condvar)>::default();
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let swapped = figures::number(&figures::parse(&line), "swapped").unwrap_or_default();
                Self::change(&shared, |seen| {
                    seen.rounds += 1;
                    seen.most_swapped_kib = seen.most_swapped_kib.max(swapped);
                });
            }
            Self::change(&shared, |seen| seen.is_over = true);
        });
        Ok(Self { child, seen })
    }

    fn change((seen, changed): &(Mutex<Seen>, Condvar), change: impl FnOnce(&mut Seen)) {
        change(&mut seen.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_all();
    }

    /// Waits until all pages were looked at so many times more.
    fn wait_for_rounds(&self, more: u64) {
        let (seen, changed) = &*self.seen;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let end = seen.rounds + more;
        let waited = changed.wait_timeout_while(seen, PATIENCE, |seen| seen.rounds < end && !seen.is_over);
        drop(waited);
    }

    /// Ends it, and says how many rounds there were and how much was in swap at most, in KiB.
    fn end(&mut self) -> (u64, f64) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        let seen = *self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.rounds, seen.most_swapped_kib)
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the kernel has counted of pages pushed out, brought in and moved.
fn paged() -> Result<[(&'static str, u64); 3]> {
    let text = fs::read_to_string("/proc/vmstat").context("cannot read /proc/vmstat")?;
    let count =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or_default();
    Ok(["pswpout ", "pswpin ", "pgmigrate_success "].map(|name| (name.trim_end(), count(name))))
}

/// A swap file, while this exists.
struct Swap(PathBuf);

impl Swap {
    fn on(directory: &Path) -> Option<Self> {
        let path = directory.join("swap");
        let file = path.to_string_lossy().into_owned();
        // What an earlier run left, which may have been ended in the middle.
        let _ = Command::new("swapoff").arg(&path).output();
        let _ = fs::remove_file(&path);
        let swap = Self(path);
        let steps: [(&str, &[&str]); 4] =
            [("fallocate", &["-l", "128M"]), ("chmod", &["600"]), ("mkswap", &["-q"]), ("swapon", &[])];
        for (name, arguments) in steps {
            if let Err(error) = program::capture(Command::new(name).args(arguments).arg(&file)) {
                println!("no swap of its own, so pages go out only where the machine has some: {error:#}");
                return None;
            }
        }
        Some(swap)
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg(&self.0).output();
        let _ = fs::remove_file(&self.0);
    }
}

/// The guests, and what each says that has found nothing: one without a start-up, one at its snapshot.
const GUESTS: [(&str, &str); 2] = [("fresh", "CLEAN\n"), ("kept", "CLEAN 7\n")];
const BUSY: usize = 6;
const HOLDING: usize = 4;
const PATIENCE: Duration = Duration::from_secs(10);
