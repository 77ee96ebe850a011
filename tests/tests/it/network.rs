//! Scripts that connect to others: by a C library on top of the host's functions, against real peers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;
use tower_wcgi::{NetRule, RequestId, WcgiBuilder, WcgiService};
use wcgi_tests::{Reply, Server, ask, builder, engine, get, guest, post, read_until, request, wait_for_permits};
use webc::metadata::annotations::{Atom, WCGI_RUNNER_URI};
use webc::metadata::{Annotation, Command, Manifest};
use webc::v3;

use crate::log;

/// A service of the guest that is granted `rules`.
fn net(rules: &[&str]) -> WcgiBuilder {
    rules.iter().fold(builder("net"), |builder, rule| builder.net(rule.parse::<NetRule>().unwrap()))
}

/// One that reaches `address` as `db` at port 3306.
fn database(address: SocketAddr) -> WcgiBuilder {
    net(&[&format!("db:3306={address}")])
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// What the guest says when it does `what` with the database.
async fn says(service: &WcgiService, what: &str) -> String {
    get(service, &format!("/?do={what}&host=db&port=3306")).await.text()
}

/// Answers each connection with what it has sent, backwards.
async fn answer(listener: &TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        all.reverse();
        stream.write_all(&all).await.unwrap();
    }
}

#[tokio::test]
async fn bytes_go_both_ways() {
    let (listener, address) = listen().await;
    let service = database(address).build().unwrap();
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let talk = async {
        assert_eq!(says(&service, "echo&say=hello").await, "olleh\npeer 198.18.0.1 3306\n");
        let reply = post(&service, "/?do=echo&host=db&port=3306", large.clone()).await;
        let (body, peer) = reply.body.split_at(large.len());
        assert!(body.iter().eq(large.iter().rev()), "the bytes that came are others");
        assert_eq!(peer, b"\npeer 198.18.0.1 3306\n");
    };
    tokio::select! { () = talk => {} () = answer(&listener) => {} }
}

#[cfg(unix)]
#[tokio::test]
async fn a_name_may_stand_for_a_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db.sock");
    let service = net(&[&format!("db:3306=unix:{}", path.display())]).build().unwrap();
    assert_eq!(says(&service, "echo&say=x").await, "connect: ECONNREFUSED\n", "nobody listens");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        stream.write_all(all.to_uppercase().as_bytes()).await.unwrap();
    };
    let (said, ()) = tokio::join!(says(&service, "echo&say=hello"), peer);
    assert_eq!(said, "HELLO\npeer 198.18.0.1 3306\n");
}

#[tokio::test]
async fn what_is_not_granted_is_refused_and_logged_once() {
    log::capture();
    let (listener, address) = listen().await;
    let port = address.port();
    for (n, (host, to, rules, said, rule)) in [
        ("127.0.0.1", port, &[][..], "connect: EACCES\n", format!("127.0.0.1:{port}")),
        ("127.0.0.1", port, &["*:*"][..], "connect: EACCES\n", format!("127.0.0.1:{port}")),
        ("::1", port, &["127.0.0.0/8:*"][..], "connect: EACCES\n", format!("[::1]:{port}")),
        ("db", 3307, &["db:3306=127.0.0.1:1"][..], "connect: EACCES\n", "db:3307".to_owned()),
        ("other", 80, &["db:80"][..], "getaddrinfo: Name does not resolve\n", "other:PORT".to_owned()),
        ("localhost", port, &["*:*"][..], "getaddrinfo: EACCES\n", "localhost:PORT".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let service = net(rules).build().unwrap();
        let id = format!("refused-{n}");
        let mut request = request(Method::GET, &format!("/?do=echo&say=x&host={host}&port={to}"), "");
        request.extensions_mut().insert(RequestId::new(id.clone()));
        let reply = ask(&service, request).await;
        assert_eq!((reply.status, reply.text().as_str()), (StatusCode::OK, said), "{host} {rules:?}");
        let lines: Vec<_> = log::about(&id).into_iter().filter(|line| line.contains("was refused")).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].message().contains(&format!("`--net {rule}`")), "{lines:?}");
    }
    let accepted = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
    assert!(accepted.is_err(), "somebody has connected");
}

#[tokio::test]
async fn failures_reach_the_script_as_the_host_sees_them() {
    let (listener, address) = listen().await;
    drop(listener);
    let service = net(&[&format!("db:3306={address}"), "gone:3306=no-such-host.invalid:1"]).build().unwrap();
    assert_eq!(says(&service, "echo&say=x").await, "connect: ECONNREFUSED\n");
    let gone = get(&service, "/?do=echo&say=x&host=gone&port=3306").await;
    assert_eq!(gone.text(), "connect: EHOSTUNREACH\n");
    let reply =
        get(&net(&["no-such-host.invalid:80"]).build().unwrap(), "/?do=look-up&host=no-such-host.invalid").await;
    assert_eq!(reply.text(), "Name does not resolve\n");
}

#[tokio::test]
async fn a_connection_that_is_cut_off_is_reset() {
    let (listener, address) = listen().await;
    let service = database(address).build().unwrap();
    let cut = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Before the script has its connection, that would fail.
        stream.read_exact(&mut [0]).await.unwrap();
        stream.set_zero_linger().unwrap();
    };
    let (said, ()) = tokio::join!(says(&service, "wait&say=x"), cut);
    assert_eq!(said, "recv: ECONNRESET\n");
    let cut = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut some = vec![0; 100_000];
        stream.read_exact(&mut some).await.unwrap();
        stream.set_zero_linger().unwrap();
    };
    let (said, ()) = tokio::join!(says(&service, "flood"), cut);
    assert!(matches!(said.as_str(), "1 write: ECONNRESET\n" | "1 write: EPIPE\n"), "{said}");
}

#[tokio::test]
async fn ten_connections_are_polled_together_with_stdin() {
    let (listener, address) = listen().await;
    let service = database(address).build().unwrap();
    let peers = async {
        let mut streams = Vec::new();
        while streams.len() < 10 {
            streams.push(listener.accept().await.unwrap().0);
        }
        // One at a time, from the last to the first.
        for (n, mut stream) in streams.into_iter().enumerate().rev() {
            stream.write_all(n.to_string().as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "the script has closed its end");
        }
    };
    let (reply, ()) = tokio::join!(post(&service, "/?do=ten&host=db&port=3306", "body"), peers);
    assert_eq!(reply.text(), "9 8 7 6 5 4 3 2 1 0 stdin 1\n");
}

#[tokio::test]
async fn a_socket_need_not_block() {
    let (listener, address) = listen().await;
    let service = net(&[&format!("{address}")]).build().unwrap();
    let target = format!("/?do=nonblocking&host=127.0.0.1&port={}", address.port());
    let (reply, _open) = tokio::join!(get(&service, &target), listener.accept());
    let expected = "begun ok\nselect 1\noutcome ok\nread EAGAIN\npoll 0\nflags 1\n";
    assert_eq!(reply.text(), expected);
    drop(listener);
    let reply = get(&service, &target).await;
    let text = reply.text();
    // The kernel may know at once.
    assert!(text.contains("outcome ECONNREFUSED\n") || text.contains("begun ECONNREFUSED\n"), "{text}");
}

#[tokio::test]
async fn what_was_closed_is_no_descriptor() {
    let (listener, address) = listen().await;
    let service = database(address).build().unwrap();
    let peers = async {
        let first = listener.accept().await.unwrap();
        (first, listener.accept().await.unwrap())
    };
    let (said, _open) = tokio::join!(says(&service, "freed"), peers);
    let expected =
        "first ok\nagain EBADF\nread EBADF\nwrite EBADF\nseek EBADF\npoll 1 POLLNVAL\nnumber the same\nseek errno 70\n";
    assert_eq!(said, expected);
}

#[tokio::test]
async fn an_exchange_has_so_many_connections() {
    let (_listener, address) = listen().await;
    let target = format!("/?do=many&host=127.0.0.1&port={}", address.port());
    for (most, said) in [(None, 16), (Some(3), 3)] {
        let mut builder = net(&[&format!("127.0.0.1:{}", address.port())]);
        if let Some(most) = most {
            builder = builder.net_connections(most);
        }
        let reply = get(&builder.build().unwrap(), &target).await;
        assert_eq!(reply.text(), format!("sockets 64 EMFILE\nconnections {said} EMFILE\n"));
    }
}

#[tokio::test]
async fn the_deadline_covers_waiting_for_a_peer() {
    let (listener, address) = listen().await;
    let service = database(address).deadline(Duration::from_millis(200)).build().unwrap();
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read(&mut [0; 1]).await.unwrap_err().kind()
    };
    let (reply, ended) = tokio::join!(get(&service, "/?do=wait&host=db&port=3306"), peer);
    assert_eq!(reply.failure, Some(tower_wcgi::ErrorKind::DeadlineExceeded));
    assert_eq!(ended, std::io::ErrorKind::ConnectionReset, "an exchange that is ended resets");
}

#[tokio::test]
async fn a_read_waits_as_long_as_the_script_says() {
    let (listener, address) = listen().await;
    let service = database(address).build().unwrap();
    let (said, _open) = tokio::join!(says(&service, "timeout"), listener.accept());
    assert_eq!(said, "recv: EAGAIN\n");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_connections_of_its_script() {
    let (listener, address) = listen().await;
    let server = Server::start(database(address).build().unwrap()).await;
    let mut client = server.connect().await;
    client.write_all(b"GET /?do=flood&host=db&port=3306 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    read_until(&mut client, "text/plain").await;
    // Only then it knows that it is connected.
    let mut piece = vec![0; 65536];
    stream.read_exact(&mut piece).await.unwrap();
    drop(client);
    let ended = loop {
        match stream.read(&mut piece).await {
            Ok(count) => assert_ne!(count, 0, "an end is no reset"),
            Err(error) => break error.kind(),
        }
    };
    assert_eq!(ended, std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn scripts_that_wait_for_a_peer_leave_the_threads_to_others() {
    let (listener, address) = listen().await;
    let engine = engine().threads(1).max_concurrency(24).build().unwrap();
    let service = database(address).engine(engine.clone()).build().unwrap();
    let hello = builder("hello").engine(engine.clone()).build().unwrap();
    let waiting: Vec<_> = (0..10)
        .map(|_| tokio::spawn(service.clone().oneshot(request(Method::GET, "/?do=wait&host=db&port=3306", ""))))
        .collect();
    let mut streams = Vec::new();
    while streams.len() < 10 {
        streams.push(listener.accept().await.unwrap().0);
    }
    let begin = Instant::now();
    for _ in 0..20 {
        assert_eq!(get(&hello, "/").await.status, StatusCode::OK);
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    drop(streams);
    for waits in waiting {
        let reply = Reply::read(waits.await.unwrap().unwrap()).await;
        assert_eq!(reply.text(), "got 0\n");
    }
    wait_for_permits(&engine, 24).await;
}

#[tokio::test]
async fn a_script_that_does_not_read_holds_up_its_peer_and_nobody_else() {
    let (listener, address) = listen().await;
    let service = database(address).build().unwrap();
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let piece = vec![0; 1 << 20];
        let mut sent = 0_usize;
        while stream.write_all(&piece).await.is_ok() {
            sent += piece.len();
        }
        sent
    };
    let (said, sent) = tokio::join!(says(&service, "deaf&ms=200"), peer);
    assert_eq!(said, "closed ok\n");
    assert!(sent < 64 << 20, "{sent} bytes were held");
}

#[tokio::test]
async fn a_large_answer_comes_whole() {
    let (listener, address) = listen().await;
    let service = database(address).build().unwrap();
    let peer = async {
        let (mut stream, _): (TcpStream, _) = listener.accept().await.unwrap();
        stream.write_all(&vec![1; (20 << 20) + 17]).await.unwrap();
    };
    let (said, ()) = tokio::join!(says(&service, "large"), peer);
    assert_eq!(said, format!("bytes {}\n", (20 << 20) + 17));
}

#[tokio::test]
async fn a_program_for_wasmedge_runs_as_it_is() {
    let (listener, address) = listen().await;
    let wasmedge = |rules: &[&str]| {
        let builder = builder("wasmedge");
        rules.iter().fold(builder, |builder, rule| builder.net(rule.parse::<NetRule>().unwrap())).build().unwrap()
    };
    let (database, localhost) = (format!("db:3306={address}"), format!("localhost:{}", address.port()));
    let service = wasmedge(&[&database, &localhost]);
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        stream.write_all(all.to_uppercase().as_bytes()).await.unwrap();
    };
    let (said, ()) = tokio::join!(says(&service, "echo&say=hello"), peer);
    assert_eq!(said, "HELLO");
    assert_eq!(get(&service, "/?do=look-up&host=db").await.text(), "[198.18.0.1:80]\n");
    assert_eq!(get(&service, "/?do=look-up&host=localhost").await.text(), "[127.0.0.1:80]\n", "no IPv6 was asked for");
    let (said, _open) = tokio::join!(says(&service, "timeout"), listener.accept());
    assert_eq!(said, "Some(50ms) Err(Some(6)) true\n");
    let target = format!("/?do=nonblocking&host=127.0.0.1&port={}", address.port());
    let text = get(&service, &target).await.text();
    assert!(matches!(text.as_str(), "Err(Some(26)) true\n" | "Ok(()) true\n"), "{text}");

    // AINONAME, and EACCES where the name has no such port.
    let none = wasmedge(&[]);
    assert!(says(&none, "echo&say=x").await.ends_with("Some(84)\n"));
    let other = wasmedge(&["db:1=127.0.0.1:1"]);
    assert_eq!(says(&other, "echo&say=x").await, "PermissionDenied Some(2)\n");
}

/// A `.webc` of the guest that asks for `rules`.
fn asking(dir: &std::path::Path, rules: &[&str]) -> std::path::PathBuf {
    let text = |text: &str| Annotation::Text(text.to_owned());
    let rules = Annotation::Array(rules.iter().map(|rule| text(rule)).collect());
    let network = Annotation::Map(vec![(text("connect"), rules)]);
    let annotations = [
        ("atom", Annotation::serialized(&Atom::new("net", None)).unwrap()),
        ("wcgi", Annotation::Map(vec![(text("network"), network)])),
    ];
    let annotations = annotations.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut manifest = Manifest::default();
    manifest.commands.insert("net".to_owned(), Command { runner: WCGI_RUNNER_URI.to_owned(), annotations });
    let module = std::fs::read(guest("net")).unwrap();
    let writer = v3::write::Writer::new(v3::ChecksumAlgorithm::Sha256).write_manifest(&manifest).unwrap();
    let atoms = [("net".parse().unwrap(), v3::write::FileEntry::borrowed(&module, v3::Timestamps::default()))];
    let writer = writer.write_atoms(atoms.into_iter().collect()).unwrap();
    let path = dir.join("net.webc");
    std::fs::write(&path, writer.finish(v3::SignatureAlgorithm::None).unwrap()).unwrap();
    path
}

#[tokio::test]
async fn a_webc_asks_and_whoever_serves_it_grants() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listen().await;
    let literal = address.to_string();
    let package = asking(dir.path(), &["db:3306", "*.example.com:443", "localhost:1-65535", &literal]);
    let open = |rules: &[&str], as_asked| {
        let builder = WcgiService::builder().package(&package).engine(engine().build().unwrap());
        let builder = rules.iter().fold(builder, |builder, rule| builder.net(rule.parse::<NetRule>().unwrap()));
        builder.net_as_asked(as_asked).build()
    };
    let error = open(&["*:443"], false).unwrap_err();
    assert_eq!(error.kind(), tower_wcgi::ErrorKind::Package);
    assert!(error.to_string().ends_with(&format!(": db:3306, localhost:*, {literal}")), "{error}");
    let hint = format!("--net db:3306=HOST:PORT --net localhost:* --net {literal}, or --net-as-asked");
    assert_eq!(error.hint(), Some(hint.as_str()));

    let granted = open(&["*:443", "localhost:*", &format!("db:3306={address}")], false).unwrap();
    let (said, _open) = tokio::join!(says(&granted, "deaf"), listener.accept());
    assert_eq!(said, "closed ok\n");
    // It has asked for an address itself, but no name of it leads inside.
    let as_asked = open(&[], true).unwrap();
    let target = |host| format!("/?do=deaf&host={host}&port={}", address.port());
    let by_address = target("127.0.0.1");
    let (reply, _open) = tokio::join!(get(&as_asked, &by_address), listener.accept());
    assert_eq!(reply.text(), "closed ok\n");
    assert_eq!(get(&as_asked, &target("localhost")).await.text(), "getaddrinfo: EACCES\n");
}

#[tokio::test]
async fn a_module_that_may_reach_nothing_starts() {
    assert_eq!(get(&net(&[]).build().unwrap(), "/").await.text(), "nothing to do\n");
    assert!(guest("net").exists());
}
