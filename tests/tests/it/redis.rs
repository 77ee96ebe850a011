//! A client of Redis as it is, with a real server on a unix socket and on the loopback interface.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::{TcpListener, UnixStream};
use tower_wcgi::{NetRule, WcgiService};
use wcgi_tests::{builder, get};

/// A server with its data in a directory of its own. Killed when dropped.
struct Redis {
    child: Child,
    dir: tempfile::TempDir,
}

impl Redis {
    async fn start(port: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut redis = Command::new("redis-server");
        redis.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"]);
        redis.arg("--unixsocket").arg(dir.path().join("redis.sock")).arg("--dir").arg(dir.path());
        let child =
            redis.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("`cargo xtask setup` installs Redis");
        let redis = Self { child, dir };
        let listens = async {
            while UnixStream::connect(redis.socket()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), listens).await.expect("Redis listens");
        redis
    }

    fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("redis.sock")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client(rule: &str) -> WcgiService {
    builder("redis").net(rule.parse::<NetRule>().unwrap()).build().unwrap()
}

fn on(socket: &Path) -> String {
    format!("cache:6379=unix:{}", socket.display())
}

#[tokio::test]
async fn hiredis_as_it_is_talks_to_redis() {
    // Free a moment ago; nobody else is given it at once.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let redis = Redis::start(port).await;
    let (by_unix, by_tcp) = (client(&on(&redis.socket())), client(&format!("cache:6379=127.0.0.1:{port}")));
    let target = "/?host=cache&port=6379&key=greeting&say=hello%20world";
    assert_eq!(get(&by_unix, target).await.text(), "OK\nhello world\n1\n10\n");
    assert_eq!(get(&by_tcp, target).await.text(), "OK\nhello world\n2\n20\n", "the same server");
    let visits = tokio::join!(get(&by_unix, target), get(&by_tcp, target), get(&by_unix, target));
    let mut counts: Vec<_> = [visits.0, visits.1, visits.2]
        .iter()
        .filter_map(|reply| Some(reply.text().lines().nth(2)?.to_owned()))
        .collect();
    counts.sort();
    assert_eq!(counts, ["3", "4", "5"]);
}
