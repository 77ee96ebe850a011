//! A `wcgi` process of the test's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A command line of `wcgi`, with nothing of the test's own environment that could change what it does.
pub(crate) fn wcgi(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wcgi"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// `wcgi run --addr 127.0.0.1:0 PACKAGE ARGUMENTS…`, with the tests' own cache.
pub(crate) fn run(package: &Path, arguments: &[&str]) -> Command {
    let mut command = wcgi(&["run", "--addr", "127.0.0.1:0"]);
    command.arg(package).args(arguments);
    if !arguments.iter().any(|argument| argument.contains("cache")) {
        command.arg("--cache-dir").arg(wcgi_tests::cache_dir());
    }
    command
}

/// Runs it to its end.
pub(crate) fn output(arguments: &[&str]) -> Output {
    wcgi(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Answers one connection to `listener` with what came there, in capitals, while `ask` runs.
pub(crate) fn shout_back<R>(listener: &TcpListener, ask: impl FnOnce() -> R) -> R {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            stream.write_all(said.to_uppercase().as_bytes()).unwrap();
        });
        ask()
    })
}

/// A serving process. Killed when dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) addr: SocketAddr,
    /// Lines on stderr after the first.
    pub(crate) lines: Receiver<String>,
}

impl Serving {
    /// A [`run`] that serves.
    pub(crate) fn start(package: &Path, arguments: &[&str]) -> Self {
        Self::spawn(run(package, arguments))
    }

    pub(crate) fn spawn(command: Command) -> Self {
        Self::spawn_within(command, PATIENCE)
    }

    /// The same, where it has so much time until it serves.
    pub(crate) fn spawn_within(mut command: Command, patience: Duration) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        // Ends with the child.
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let first = lines.recv_timeout(patience).expect("a first line");
        Self { child, addr: address(&first), lines }
    }

    /// Gives stderr after its first line, for the test to read or not.
    pub(crate) fn spawn_unread(mut command: Command) -> (Self, BufReader<ChildStderr>) {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::with_capacity(ONE_LINE, child.stderr.take().unwrap());
        let mut first = String::new();
        stderr.read_line(&mut first).unwrap();
        (Self { child, addr: address(first.trim_end()), lines: channel().1 }, stderr)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// GETs `target` on a connection of its own and gives the whole response.
    pub(crate) fn get(&self, target: &str) -> String {
        self.get_from("localhost", target)
    }

    /// The same, of a host.
    pub(crate) fn get_from(&self, host: &str, target: &str) -> String {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    }

    /// Sends `request` on a connection of its own and gives all that comes back.
    pub(crate) fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    /// Waits for a line that has `wanted` in it.
    pub(crate) fn line(&self, wanted: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line with {wanted:?}"));
            if line.contains(wanted) {
                return line;
            }
        }
    }

    /// The lines up to the first that has `wanted` in it.
    pub(crate) fn lines_until(&self, wanted: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line =
                self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line with {wanted:?}: {lines:?}"));
            if line.contains(wanted) {
                return lines;
            }
            lines.push(line);
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where it listens, as one of its first lines says.
pub(crate) fn address(line: &str) -> SocketAddr {
    let beginnings = ["listening on http://", "listening on https://", "admin on http://"];
    let addr =
        beginnings.iter().find_map(|beginning| line.strip_prefix(beginning)).and_then(|rest| rest.strip_suffix('/'));
    addr.and_then(|addr| addr.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

/// Less than what comes after the first line.
const ONE_LINE: usize = 64;
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
