//! The crate `wcgi-guest`: one axum `Router` answers alike as it is, as a CGI program of lighttpd, and as a guest.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::net::TcpStream;
use wcgi_tests::{Server, builder};

#[path = "../../guests/rust/src/router.rs"]
mod router;

#[tokio::test]
async fn a_router_answers_alike_natively_under_cgi_and_under_wcgi() {
    let native = Server::start(router::app()).await;
    let wcgi = Server::start(builder("router").mount("/router.cgi").build().unwrap()).await;
    let cgi = Lighttpd::start().await;
    let bases = [
        format!("http://{}", native.addr),
        format!("http://{}/router.cgi", cgi.addr),
        format!("http://{}/router.cgi", wcgi.addr),
    ];

    let large = Bytes::from_iter((0..=255_u8).cycle().take(3_000_000));
    let cases = [
        (Method::GET, "/", Bytes::new(), StatusCode::OK),
        (Method::HEAD, "/", Bytes::new(), StatusCode::OK),
        (Method::PUT, "/", Bytes::from("body"), StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/none", Bytes::new(), StatusCode::NOT_FOUND),
        (Method::GET, "/greet/Ada%20%C3%BC?a=b&c=%26", Bytes::new(), StatusCode::OK),
        (Method::GET, "/greet/a%2Fb?q", Bytes::new(), StatusCode::OK),
        (Method::GET, "/cookies", Bytes::new(), StatusCode::IM_A_TEAPOT),
        (Method::GET, "/lines", Bytes::new(), StatusCode::OK),
        (Method::GET, "/empty", Bytes::new(), StatusCode::NO_CONTENT),
        (Method::POST, "/", Bytes::from("come back"), StatusCode::OK),
        (Method::POST, "/", large.clone(), StatusCode::OK),
        (Method::POST, "/upload", large, StatusCode::OK),
    ];
    for (method, target, body, status) in cases {
        let [native, cgi, wcgi] = [
            Answer::of(&method, &bases[0], target, &body).await,
            Answer::of(&method, &bases[1], target, &body).await,
            Answer::of(&method, &bases[2], target, &body).await,
        ];
        assert_eq!(native.status, status, "{method} {target}");
        native.assert_same(&cgi, &format!("{method} {target} under lighttpd"));
        native.assert_same(&wcgi, &format!("{method} {target} as a guest"));
    }
}

/// What a client sees, but for what is the server's own.
struct Answer {
    status: StatusCode,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Answer {
    async fn of(method: &Method, base: &str, target: &str, body: &Bytes) -> Self {
        wcgi_tests::choose_tls();
        let request = reqwest::Client::new().request(method.clone(), format!("{base}{target}"));
        let request = request.header("content-type", "application/x-test").body(body.clone());
        let response = request.send().await.unwrap();
        let headers =
            response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let mut headers: Vec<_> = headers.filter(|(name, _)| !OF_THE_SERVER.contains(&name.as_str())).collect();
        headers.sort();
        Self { status: response.status(), headers, body: response.bytes().await.unwrap() }
    }

    /// The same, except that a server may have found out a length that the program did not know.
    fn assert_same(&self, other: &Self, what: &str) {
        let has_length = self.headers.iter().any(|(name, _)| name == "content-length");
        let mut headers = other.headers.clone();
        headers.retain(|(name, _)| has_length || name != "content-length");
        assert_eq!((self.status, &self.headers), (other.status, &headers), "{what}");
        assert!(self.body == other.body, "{what}: {} bytes, not {}", other.body.len(), self.body.len());
    }
}

const OF_THE_SERVER: [&str; 4] = ["accept-ranges", "date", "server", "transfer-encoding"];

/// A lighttpd with one CGI program, `/router.cgi`. Ends when dropped.
struct Lighttpd {
    addr: SocketAddr,
    process: Child,
    _directory: tempfile::TempDir,
}

impl Lighttpd {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        fs::create_dir(&root).unwrap();
        symlink(env!("CARGO_BIN_EXE_router-cgi"), root.join("router.cgi")).unwrap();
        // Free now, and nobody else's before lighttpd has it, for the system gives out others first.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = free.local_addr().unwrap();
        drop(free);
        let config = directory.path().join("lighttpd.conf");
        let text = format!(
            "server.modules = (\"mod_cgi\")\n\
             server.document-root = \"{root}\"\n\
             server.upload-dirs = (\"{directory}\")\n\
             server.bind = \"{ip}\"\n\
             server.port = {port}\n\
             cgi.assign = (\".cgi\" => \"\")\n",
            root = root.display(),
            directory = directory.path().display(),
            ip = addr.ip(),
            port = addr.port(),
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(find_lighttpd());
        let process = command.arg("-D").arg("-f").arg(&config).stdin(Stdio::null()).spawn().unwrap();
        let started = Self { addr, process, _directory: directory };
        let listens = async {
            while TcpStream::connect(addr).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), listens).await.expect("lighttpd listens");
        started
    }
}

impl Drop for Lighttpd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// On the PATH, or where Debian has servers.
fn find_lighttpd() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = directories.map(|directory| directory.join("lighttpd")).find(|program| program.is_file());
    found.expect("lighttpd, which `apt-get install lighttpd` installs")
}
