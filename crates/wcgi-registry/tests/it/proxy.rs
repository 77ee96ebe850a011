//! What stands between a client and a registry: it counts requests, and may do something after so many bytes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Ends with the test's process: its threads wait for connections.
pub(crate) struct Proxy {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<u8>>>,
}

/// Which bytes are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

impl Proxy {
    /// Does `after` once so many bytes have gone that way, and forwards nothing more.
    pub(crate) fn start(server: &str, way: Way, bytes: usize, after: impl FnOnce() + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("localhost:{}", listener.local_addr().unwrap().port());
        let server = server.replace("localhost", "127.0.0.1");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let budget = Arc::new(Mutex::new((bytes, Some(after))));
        let recorded = Arc::clone(&seen);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(upstream) = TcpStream::connect(&server) else { continue };
                for (from, to, this_way) in [
                    (client.try_clone().unwrap(), upstream.try_clone().unwrap(), Way::ToServer),
                    (upstream, client, Way::ToClient),
                ] {
                    let (budget, recorded) = (Arc::clone(&budget), Arc::clone(&recorded));
                    std::thread::spawn(move || {
                        forward(from, to, |piece| {
                            if this_way == Way::ToServer {
                                recorded.lock().unwrap().extend_from_slice(piece);
                            }
                            let mut budget = budget.lock().unwrap();
                            if this_way == way {
                                budget.0 = budget.0.saturating_sub(piece.len());
                            }
                            if budget.0 == 0
                                && let Some(after) = budget.1.take()
                            {
                                after();
                            }
                            budget.0 > 0
                        });
                    });
                }
            }
        });
        Self { address, seen }
    }

    /// One that only watches.
    pub(crate) fn watch(server: &str) -> Self {
        Self::start(server, Way::ToServer, usize::MAX, || {})
    }

    /// The request lines that went by, and forgets them.
    pub(crate) fn requests(&self) -> Vec<String> {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        let text = String::from_utf8_lossy(&seen).into_owned();
        text.lines().filter_map(|line| line.strip_suffix(" HTTP/1.1")).map(str::to_owned).collect()
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, mut goes_on: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read) = from.read(&mut buffer) {
        let piece = buffer.get(..read).unwrap();
        if read == 0 || !goes_on(piece) || to.write_all(piece).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
