//! Sockets of a service manager, and what it is told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::{configured, variable, write};
use crate::process::{PATIENCE, Serving};

/// `wcgi serve` in `dir`, with `socket` as the first of a service manager.
fn serve_with(dir: &std::path::Path, socket: &TcpListener) -> Command {
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_wcgi"), "serve"]).current_dir(dir);
    command.stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap()))).env_remove("RUST_LOG");
    command
}

fn config(addr: impl std::fmt::Display, which: &str) -> String {
    format!(
        "[server]\nlisten = ['{addr}']\n[engine]\nCACHE\n[[site]]\npackage = GUEST(env)\nenv = {{ WHICH = '{which}' }}\n"
    )
}

#[test]
fn a_restart_loses_no_connection() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let dir = configured(&config(addr, "old"));
    let old = Serving::spawn(serve_with(dir.path(), &socket));
    assert_eq!(old.addr, addr);
    assert_eq!(variable(&old.get("/"), "WHICH"), Some("old"));
    old.signal(Signal::TERM);
    assert_eq!(old.wait().code(), Some(0));
    // Nobody accepts, and yet nobody is refused.
    let mut early = TcpStream::connect(addr).unwrap();
    early.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    write(dir.path(), &config(addr, "new"));
    let new = Serving::spawn(serve_with(dir.path(), &socket));
    let mut response = String::new();
    early.set_read_timeout(Some(PATIENCE)).unwrap();
    early.read_to_string(&mut response).unwrap();
    assert_eq!(variable(&response, "WHICH"), Some("new"), "{response}");
    drop(new);
}

#[test]
fn a_socket_of_no_listener_is_said() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = configured(&config("127.0.0.1:0", "x"));
    let serving = Serving::spawn(serve_with(dir.path(), &socket));
    let line = serving.line("WARN");
    assert!(line.contains(&socket.local_addr().unwrap().to_string()) && line.contains("not used"), "{line}");
    assert_eq!(variable(&serving.get("/"), "WHICH"), Some("x"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_service_manager_is_told() {
    let dir = configured(&config("127.0.0.1:0", "x"));
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let mut command = crate::process::wcgi(&["serve"]);
    command.current_dir(dir.path()).env("NOTIFY_SOCKET", &path);
    let serving = Serving::spawn(command);
    assert_eq!(told().trim_end(), "READY=1");
    serving.signal(Signal::HUP);
    let reloading = told();
    assert!(reloading.contains("RELOADING=1\n") && reloading.contains("MONOTONIC_USEC="), "{reloading}");
    assert_eq!(told().trim_end(), "READY=1");
    serving.signal(Signal::TERM);
    assert_eq!(told().trim_end(), "STOPPING=1");
    assert_eq!(serving.wait().code(), Some(0));
}
