//! Servers as child processes: started, watched through `/proc`, ended when dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A running server. Ended when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    children: Vec<Child>,
    pub(crate) address: SocketAddr,
    /// When it was started.
    pub(crate) begin: Instant,
}

impl Server {
    /// Starts a server that says `listening on http://ADDRESS/` on stdout or stderr.
    pub(crate) fn start(name: &str, command: &mut Command, says_on: Output) -> Result<Self> {
        // `bench-server` ends when its stdin does, also if this process is killed.
        command.stdin(Stdio::piped());
        match says_on {
            Output::Stdout => command.stdout(Stdio::piped()),
            Output::Stderr => command.stderr(Stdio::piped()).stdout(Stdio::null()),
        };
        let begin = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let stream: Option<Box<dyn Read + Send>> = match says_on {
            Output::Stdout => child.stdout.take().map(|stream| Box::new(stream) as _),
            Output::Stderr => child.stderr.take().map(|stream| Box::new(stream) as _),
        };
        let mut server = Self { name: name.to_owned(), children: vec![child], address: NOWHERE, begin };
        let mut lines = BufReader::new(stream.context("the stream was piped")?).lines();
        let mut said = Vec::new();
        for line in lines.by_ref() {
            let line = line?;
            let address =
                line.split_once("listening on http://").and_then(|(_, rest)| rest.trim_end_matches('/').parse().ok());
            if let Some(address) = address {
                server.address = address;
                // A full pipe would stop it.
                thread::spawn(move || lines.for_each(drop));
                return Ok(server);
            }
            said.push(line);
        }
        bail!("{name} ended before it listened: {}", said.join("\n"))
    }

    /// Starts a server that was told where to listen: there, and on a Unix socket for what is behind it, if there is one. The
    /// commands are its processes, what they say goes to a file.
    pub(crate) fn start_at(
        name: &str,
        commands: Vec<Command>,
        address: SocketAddr,
        socket: Option<&Path>,
        log: &Path,
    ) -> Result<Self> {
        let begin = Instant::now();
        let stderr = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut server = Self { name: name.to_owned(), children: Vec::new(), address, begin };
        for mut command in commands {
            let program = command.get_program().to_string_lossy().into_owned();
            let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr.try_clone()?).spawn();
            server.children.push(child.with_context(|| format!("cannot start {program}"))?);
        }
        while socket.is_some_and(|socket| !socket.exists()) || TcpStream::connect(address).is_err() {
            for child in &mut server.children {
                if let Some(status) = child.try_wait()? {
                    let said = fs::read_to_string(log).unwrap_or_default();
                    bail!("{name} ended before it listened: {status}\n{said}");
                }
            }
            if begin.elapsed() > START {
                bail!("{name} does not listen on {address}");
            }
            thread::park_timeout(STEP);
        }
        Ok(server)
    }

    /// What it and every process below it have used until now.
    pub(crate) fn usage(&self) -> Result<Usage> {
        usage(&self.ids()).with_context(|| format!("cannot see what {} uses", self.name))
    }

    /// Watches its memory until the watch is ended.
    pub(crate) fn watch(&self) -> Watch {
        let (ids, (end, ended)) = (self.ids(), mpsc::channel());
        let thread = thread::spawn(move || {
            let mut peak = Memory::default();
            let mut samples = 0;
            loop {
                peak.resident = peak.resident.max(usage(&ids).map_or(0, |usage| usage.resident));
                // To ask for it costs the process some milliseconds.
                if samples % 4 == 0 {
                    peak.proportional = peak.proportional.max(proportional(&ids).unwrap_or_default());
                }
                samples += 1;
                let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(SAMPLING) else { break peak };
            }
        });
        Watch { end, thread }
    }

    /// Waits until it uses no processor time, but not longer than this.
    pub(crate) fn wait_until_quiet(&self, patience: Duration) -> Result<()> {
        let begin = Instant::now();
        let (mut last, mut unchanged) = (None, 0);
        while unchanged < 5 {
            if begin.elapsed() > patience {
                bail!("{} does not come to rest", self.name);
            }
            thread::park_timeout(STEP);
            let now = self.usage()?.processor;
            unchanged = if last == Some(now) { unchanged + 1 } else { 0 };
            last = Some(now);
        }
        Ok(())
    }

    /// Kills it, without asking first.
    pub(crate) fn kill(mut self) -> Result<()> {
        for child in &mut self.children {
            child.kill().with_context(|| format!("cannot kill {}", self.name))?;
            child.wait()?;
        }
        Ok(())
    }

    /// The id of its first process.
    pub(crate) fn id(&self) -> Result<u32> {
        self.children.first().map(Child::id).context("it has a process")
    }

    fn ids(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).collect()
    }
}

impl Drop for Server {
    /// Asks first, so that a server can end its own children.
    fn drop(&mut self) {
        for child in &mut self.children {
            let kill = format!("kill {}", child.id());
            let _ = Command::new("sh").arg("-c").arg(kill).stderr(Stdio::null()).status();
        }
        let begin = Instant::now();
        for child in &mut self.children {
            while matches!(child.try_wait(), Ok(None)) && begin.elapsed() < END {
                thread::park_timeout(STEP);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Where a server says its address.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

/// A running count of the most memory a server ever has.
#[derive(Debug)]
pub(crate) struct Watch {
    end: Sender<()>,
    thread: JoinHandle<Memory>,
}

impl Watch {
    /// Ends it and gives the peaks.
    pub(crate) fn peak(self) -> Memory {
        let _ = self.end.send(());
        self.thread.join().unwrap_or_default()
    }
}

/// Memory in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// What is mapped several times, or by several processes, counts each time.
    pub(crate) resident: u64,
    /// It counts once.
    pub(crate) proportional: u64,
}

/// What processes use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// User and system time since they began, of children that have ended too.
    pub(crate) processor: Duration,
    /// Resident memory in bytes; what several processes share counts in each.
    pub(crate) resident: u64,
    pub(crate) threads: u64,
    pub(crate) files: u64,
}

/// The sum over these processes and all below them. A process may end while it is looked at: then its time is in its
/// parent's account the next time.
fn usage(roots: &[u32]) -> Result<Usage> {
    let mut sum = Usage::default();
    for (id, stat) in family(roots)? {
        sum.processor += Duration::from_millis(stat.ticks * 1000 / TICKS_PER_SECOND);
        sum.threads += stat.threads;
        sum.resident += kilobytes(id, "status", "VmRSS:").unwrap_or_default();
        sum.files += fs::read_dir(format!("/proc/{id}/fd")).map_or(0, |entries| entries.count() as u64);
    }
    if sum == Usage::default() {
        bail!("no such process");
    }
    Ok(sum)
}

/// [`Memory::proportional`] of these processes and all below them.
fn proportional(roots: &[u32]) -> Result<u64> {
    Ok(family(roots)?.keys().filter_map(|id| kilobytes(*id, "smaps_rollup", "Pss:")).sum())
}

/// These processes and all below them.
fn family(roots: &[u32]) -> Result<BTreeMap<u32, Stat>> {
    let mut processes = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("there is no /proc")? {
        let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if let Some(stat) = fs::read_to_string(format!("/proc/{id}/stat")).ok().and_then(|text| Stat::parse(&text)) {
            processes.insert(id, stat);
        }
    }
    let mut wanted: BTreeSet<u32> = roots.iter().copied().collect();
    loop {
        let children: Vec<u32> = processes
            .iter()
            .filter(|(id, stat)| wanted.contains(&stat.parent) && !wanted.contains(id))
            .map(|(id, _)| *id)
            .collect();
        if children.is_empty() {
            break;
        }
        wanted.extend(children);
    }
    processes.retain(|id, _| wanted.contains(id));
    Ok(processes)
}

/// What `/proc/PID/stat` says: `proc_pid_stat(5)`.
#[derive(Debug)]
struct Stat {
    parent: u32,
    ticks: u64,
    threads: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name, in parentheses, may hold anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = [14, 15, 16, 17].into_iter().map(field).sum::<Option<u64>>()?;
        Some(Self { parent: u32::try_from(field(4)?).ok()?, ticks, threads: field(20)? })
    }
}

/// The figure of a line of a file of `/proc/ID`, in bytes.
fn kilobytes(id: u32, file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// A port nobody uses now, for servers that cannot pick one themselves.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").context("cannot listen")?.local_addr()?)
}

const NOWHERE: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0));
/// What Linux tells user space, whatever it counts with itself.
const TICKS_PER_SECOND: u64 = 100;
const STEP: Duration = Duration::from_millis(50);
/// Looking at every process takes some milliseconds, which the measured ones do not get.
const SAMPLING: Duration = Duration::from_millis(250);
const START: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_a_name_made_to_confuse() {
        let stat = "42 (a) R 1 (b) S 7 42 42 0 -1 4194560 1 0 0 0 3 4 5 6 20 0 9 0 100 1 2";
        let stat = Stat::parse(stat).unwrap();
        assert_eq!((stat.parent, stat.ticks, stat.threads), (7, 18, 9));
    }

    #[test]
    fn a_process_that_ended_is_in_its_parents_account_and_a_living_one_in_its_own() {
        // It computes, then waits for the end of its stdin, which comes also when this test fails.
        let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; read line";
        let mut child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
        let me = std::process::id();
        let own = |roots: &[u32]| usage(roots).unwrap();
        while own(&[child.id()]).processor < Duration::from_millis(50) {}
        let with_child = own(&[me]);
        assert!(with_child.processor >= Duration::from_millis(50), "{with_child:?}");
        assert!(with_child.threads > own(&[child.id()]).threads);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(own(&[me]).processor >= with_child.processor);
        assert!(usage(&[child.id()]).is_err());
    }
}
