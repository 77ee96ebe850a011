//! The program over real sockets: what each of its layers is there for.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail like the test")]

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use flate2::read::GzDecoder;
use hybrid::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tower_wcgi::Engine;
use wcgi_tests::{guest, wait_for_permits};

#[tokio::test]
async fn native_routes_c_and_php_are_one_program() {
    let server = Server::start(&wcgi_tests::engine().build().unwrap(), &settings()).await;
    assert_eq!(server.get("/health", &[]).await.text(), "ok");
    assert!(server.get("/", &[]).await.text().contains("/hello is C"));

    let hello = server.get("/hello?name=Ada", &[]).await;
    assert_eq!((hello.status, hello.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(hello.text().contains("Hello, Ada!"), "{}", hello.text());

    let php = server.get("/php/?name=Ada", &[TOKEN]).await;
    assert_eq!(php.status, 200);
    assert!(php.text().contains("Hello, Ada!") && php.text().contains("PHP 8."), "{}", php.text());

    assert_eq!(server.get("/phpx", &[]).await.status, 404);
}

#[tokio::test]
async fn php_is_for_users_and_knows_them_but_not_their_token() {
    let pages = tempfile::tempdir().unwrap();
    let page = r#"<?php
foreach (['REMOTE_USER', 'AUTH_TYPE', 'SCRIPT_NAME', 'REMOTE_ADDR', 'HTTP_AUTHORIZATION'] as $name)
    echo $name, '=', $_SERVER[$name] ?? 'unset', "\n";
"#;
    fs::write(pages.path().join("index.php"), page).unwrap();
    let mut settings = settings();
    settings.pages = pages.path().into();
    let server = Server::start(&wcgi_tests::engine().build().unwrap(), &settings).await;

    for refused in [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", "Basic c2VjcmV0")]] {
        let reply = server.get("/php/", refused).await;
        assert_eq!((reply.status, reply.header("www-authenticate"), reply.text().as_str()), (401, "Bearer", ""));
    }
    assert_eq!(
        server.get("/php/", &[TOKEN]).await.text(),
        "REMOTE_USER=ada\nAUTH_TYPE=Bearer\nSCRIPT_NAME=/php\nREMOTE_ADDR=127.0.0.1\nHTTP_AUTHORIZATION=unset\n"
    );
    // Nobody makes himself a user by a header.
    assert_eq!(server.get("/php/", &[("remote-user", "ada")]).await.status, 401);

    fs::write(pages.path().join("index.php"), "edited").unwrap();
    assert_eq!(server.get("/php/", &[TOKEN]).await.text(), "edited");
}

#[tokio::test]
async fn what_a_script_writes_is_compressed_for_those_who_accept_it() {
    let server = Server::start(&wcgi_tests::engine().build().unwrap(), &settings()).await;
    let plain = server.get("/hello", &[]).await;
    assert_eq!(plain.header("content-encoding"), "");
    let compressed = server.get("/hello", &[("accept-encoding", "gzip")]).await;
    assert_eq!(compressed.header("content-encoding"), "gzip");
    assert_ne!(compressed.body, plain.body);
    let mut decoded = Vec::new();
    GzDecoder::new(&compressed.body[..]).read_to_end(&mut decoded).unwrap();
    assert_eq!(decoded, plain.body);
}

#[tokio::test]
async fn a_client_that_asks_too_much_of_scripts_waits_while_native_routes_answer() {
    let mut settings = settings();
    settings.burst = NonZeroU32::new(3).unwrap();
    let server = Server::start(&wcgi_tests::engine().build().unwrap(), &settings).await;
    let mut statuses = Vec::new();
    while statuses.last() != Some(&429) {
        assert!(statuses.len() < 100, "never limited");
        // Tries at tokens count as well.
        let target = if statuses.len() % 2 == 0 { "/hello" } else { "/php/" };
        let reply = server.get(target, &[]).await;
        if reply.status == 429 {
            assert_ne!(reply.header("retry-after"), "");
        }
        statuses.push(reply.status);
    }
    assert_eq!(statuses[..3], [200, 401, 200]);
    assert_eq!(server.get("/health", &[]).await.status, 200);
}

#[tokio::test]
async fn a_script_that_is_too_slow_is_cut_off_and_its_permit_comes_back() {
    let mut settings = settings();
    settings.hello = guest("spin");
    settings.timeout = Duration::from_millis(500);
    let engine = wcgi_tests::engine().build().unwrap();
    let permits = engine.available_permits();
    let server = Server::start(&engine, &settings).await;
    let slow = tokio::spawn({
        let server = server.clone();
        async move { server.get("/hello", &[]).await.status }
    });
    wait_for_permits(&engine, permits - 1).await;
    assert_eq!(server.get("/health", &[]).await.status, 200);
    assert_eq!(slow.await.unwrap(), 504);
    wait_for_permits(&engine, permits).await;
}

/// The binary itself, with a cache where the tests have theirs.
#[cfg(unix)]
#[tokio::test]
async fn the_program_starts_says_where_and_ends_on_a_signal() {
    use tokio::io::{AsyncBufReadExt, BufReader};

    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(wcgi_tests::cache_dir()).unwrap();
    std::os::unix::fs::symlink(fs::canonicalize(wcgi_tests::cache_dir()).unwrap(), home.path().join("wcgi")).unwrap();
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_hybrid"))
        .arg("127.0.0.1:0")
        .env("HYBRID_TOKEN", "secret")
        .env("XDG_CACHE_HOME", home.path())
        .env_remove("RUST_LOG")
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = std::os::fd::OwnedFd::from(program.stderr.take().unwrap());
    let mut lines = BufReader::new(tokio::fs::File::from_std(stderr.into())).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().expect("the program says where it listens");
        if let Some((_, address)) = line.split_once("listening on http://") {
            break address.trim_end_matches('/').parse().unwrap();
        }
    };
    assert_eq!(get(address, "/health", &[]).await.text(), "ok");
    assert_eq!(get(address, "/php/", &[TOKEN]).await.status, 200);

    let pid = rustix::process::Pid::from_child(&program);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    while lines.next_line().await.unwrap().is_some() {}
    assert!(program.wait().unwrap().success());
}

/// The crate's documentation is compiled, the README is not. So the README's lines are lines of the compiled program.
#[test]
fn the_readme_shows_what_the_crates_documentation_shows() {
    let snippet = |file: &str, fence: &str| {
        let text = fs::read_to_string(wcgi_tests::root().join(file)).unwrap();
        text.split_once(fence).and_then(|(_, rest)| rest.split_once("```")).expect("a snippet").0.to_owned()
    };
    let compiled = snippet("crates/tower-wcgi/docs/crate.md", "```rust,no_run\n");
    let mut rest = compiled.lines().map(str::trim);
    let shown = snippet("README.md", "```rust\n");
    assert!(shown.lines().count() > 2, "{shown}");
    for line in shown.lines() {
        assert!(rest.any(|compiled| compiled == line), "`{line}` is missing, or at another place, in\n{compiled}");
    }
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.users.push(("secret".to_owned(), "ada".to_owned()));
    settings.timeout = Duration::from_secs(60);
    settings
}

const TOKEN: (&str, &str) = ("authorization", "Bearer secret");

/// The program on a free port. Ends when dropped.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    _task: std::sync::Arc<AbortOnDrop>,
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    async fn start(engine: &Engine, settings: &Settings) -> Self {
        let app = hybrid::app(engine, settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move { axum::serve(listener, service).await });
        Self { address, _task: std::sync::Arc::new(AbortOnDrop(task.abort_handle())) }
    }

    async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Reply {
        get(self.address, target, headers).await
    }
}

struct Reply {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// In HTTP/1.0, where a body is what comes until the connection is closed.
async fn get(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = format!("GET {target} HTTP/1.0\r\nHost: localhost\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();

    let end = response.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
    let body = response.split_off(end + 4);
    let head = String::from_utf8(response).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let headers = fields.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Reply { status, headers, body }
}
