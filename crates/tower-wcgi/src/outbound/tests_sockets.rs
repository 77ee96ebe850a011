//! Sockets against real peers on the loopback interface and on unix sockets.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Direction, Failure, Limits, MAX_SOCKETS, Outbound, Peer, Sockets};
use crate::request::RequestId;

fn service(rules: &[&str], limits: Limits) -> Outbound {
    Outbound::new(rules.iter().map(|rule| rule.parse().unwrap()).collect(), Vec::new(), limits)
}

fn exchange(outbound: &Arc<Outbound>) -> Sockets {
    Sockets::new(Arc::clone(outbound), RequestId::new("test"))
}

fn sockets(rules: &[&str]) -> Sockets {
    exchange(&Arc::new(service(rules, Limits::default())))
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A script's connection by the name `db`, and the peer's end of it.
async fn pair() -> (Sockets, usize, TcpStream) {
    let (listener, port) = listen().await;
    let mut sockets = sockets(&[&format!("db:3306=127.0.0.1:{port}")]);
    let number = connect(&mut sockets, "db", 3306).await.unwrap();
    (sockets, number, listener.accept().await.unwrap().0)
}

async fn connect(sockets: &mut Sockets, host: &str, port: u16) -> Result<usize, Failure> {
    let (number, peer) = (sockets.open().unwrap(), sockets.peer(host).unwrap());
    sockets.connect(number, peer, port).await.map(|()| number)
}

async fn is_ready(sockets: &mut Sockets, number: usize, direction: Direction) -> bool {
    poll_fn(|cx| Poll::Ready(sockets.poll_ready(cx, number, direction).is_ready())).await
}

async fn ready(sockets: &mut Sockets, number: usize, direction: Direction) -> u64 {
    poll_fn(|cx| sockets.poll_ready(cx, number, direction)).await.unwrap()
}

const AGAIN: Failure = Failure::Io(ErrorKind::WouldBlock);

#[tokio::test]
async fn bytes_go_both_ways_to_the_target_of_a_name() {
    let (mut sockets, number, mut peer) = pair().await;
    assert_eq!(sockets.write(number, b"ping").await, Ok(4));
    let mut buffer = [0; 8];
    peer.read_exact(&mut buffer[..4]).await.unwrap();
    assert_eq!(&buffer[..4], b"ping");
    peer.write_all(b"pong!").await.unwrap();
    assert_eq!(ready(&mut sockets, number, Direction::Read).await, 5);
    assert_eq!(sockets.read(number, &mut buffer, true).await, Ok(5), "a peek");
    assert_eq!(sockets.read(number, &mut buffer[..2], false).await, Ok(2));
    assert_eq!(sockets.read(number, &mut buffer, false).await, Ok(3));
    assert_eq!(&buffer[..3], b"ng!");
    drop(peer);
    assert_eq!(sockets.read(number, &mut buffer, false).await, Ok(0));
    assert_eq!(ready(&mut sockets, number, Direction::Read).await, 0, "the end is there to be read");
}

#[tokio::test]
async fn the_peers_address_is_what_the_script_asked_for() {
    let (listener, port) = listen().await;
    let mut sockets = sockets(&[&format!("db:3306=127.0.0.1:{port}"), &format!("127.0.0.1:{port}")]);
    let stand_in = sockets.look_up("DB.").await.unwrap();
    let [IpAddr::V4(address)] = stand_in[..] else { panic!("{stand_in:?}") };
    assert_eq!(address.octets()[..2], [198, 18]);
    // Under its stand-in it is the name.
    let by_token = connect(&mut sockets, &address.to_string(), 3306).await.unwrap();
    let by_name = connect(&mut sockets, "db", 3306).await.unwrap();
    let by_address = connect(&mut sockets, "127.0.0.1", port).await.unwrap();
    for number in [by_token, by_name] {
        assert_eq!(sockets.peer_of(number), Ok(SocketAddr::new(address.into(), 3306)));
    }
    assert_eq!(sockets.peer_of(by_address), Ok(SocketAddr::new("127.0.0.1".parse().unwrap(), port)));
    assert_eq!(connect(&mut sockets, &address.to_string(), 3307).await, Err(Failure::Denied), "another port");
    for _ in 0..3 {
        listener.accept().await.unwrap();
    }
    // Somebody else's exchange has no such address.
    let mut other = exchange(&sockets.outbound);
    assert_eq!(connect(&mut other, &address.to_string(), 3306).await, Err(Failure::Denied));
}

#[tokio::test]
async fn what_no_rule_has_is_neither_looked_up_nor_dialled() {
    let (listener, port) = listen().await;
    let mut none = sockets(&[]);
    for host in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "localhost", "db", "0.0.0.0"] {
        assert_eq!(connect(&mut none, host, port).await, Err(Failure::Denied), "{host}");
    }
    assert_eq!(none.look_up("localhost").await, Err(Failure::NoSuchHost));
    for text in ["", ".", "a b", "127.1", "\0", "x\ny", "b\u{fc}cher.example"] {
        assert_eq!(none.peer(text), None, "{text:?}");
        assert_eq!(none.look_up(text).await, Err(Failure::NoSuchHost), "{text:?}");
    }
    let accepted = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
    assert!(accepted.is_err(), "somebody has connected");
}

#[tokio::test]
async fn localhost_is_both_loopback_addresses() {
    let (listener, port) = listen().await;
    let mut sockets = sockets(&[&format!("localhost:{port}")]);
    let addresses = sockets.look_up("LocalHost").await.unwrap();
    assert_eq!(addresses, ["127.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
    for host in ["localhost", "127.0.0.1", "::ffff:127.0.0.1"] {
        connect(&mut sockets, host, port).await.unwrap();
        listener.accept().await.unwrap();
    }
    assert_eq!(connect(&mut sockets, "127.0.0.2", port).await, Err(Failure::Denied));
}

#[tokio::test]
async fn a_name_that_leads_inside_gets_nobody_there() {
    let (listener, port) = listen().await;
    let rule = format!("*.example:{port}");
    let network = format!("127.0.0.0/8:{port}");
    for (rules, leads) in [(&[rule.as_str()][..], false), (&[rule.as_str(), network.as_str()][..], true)] {
        let mut outbound = service(rules, Limits::default());
        let loopback = vec!["127.0.0.1".parse().unwrap(), "::ffff:127.0.0.1".parse().unwrap()];
        outbound.resolver.zone.insert("evil.example", loopback);
        let mut sockets = exchange(&Arc::new(outbound));
        let connected = connect(&mut sockets, "evil.example", port).await;
        if leads {
            connected.unwrap();
            listener.accept().await.unwrap();
            assert!(sockets.look_up("evil.example").await.is_ok());
        } else {
            assert_eq!(connected, Err(Failure::Denied));
            assert_eq!(sockets.look_up("evil.example").await, Err(Failure::Denied));
        }
    }
    assert!(tokio::time::timeout(Duration::ZERO, listener.accept()).await.is_err(), "somebody has connected");
}

#[tokio::test]
async fn an_address_of_a_granted_name_is_judged_by_the_name_and_the_port() {
    let outside: IpAddr = "203.0.113.7".parse().unwrap();
    let mut outbound = service(&["api.example:443", "other.example:444"], Limits::default());
    outbound.resolver.zone.insert("api.example", vec![outside, "10.0.0.1".parse().unwrap()]);
    let mut sockets = exchange(&Arc::new(outbound));
    let number = sockets.open().unwrap();
    sockets.set_non_blocking(number, true).unwrap();
    assert_eq!(sockets.connect(number, Peer::Address(outside), 443).await, Err(Failure::Denied), "not looked up yet");
    assert_eq!(sockets.look_up("api.example").await, Ok(vec![outside]), "only what may be reached");
    assert_eq!(sockets.connect(number, Peer::Address(outside), 444).await, Err(Failure::Denied));
    // It is dialled, with whatever result.
    assert_ne!(sockets.connect(number, Peer::Address(outside), 443).await, Err(Failure::Denied));
}

#[tokio::test]
async fn failures_are_as_the_host_sees_them() {
    let (listener, port) = listen().await;
    drop(listener);
    let closed = format!("127.0.0.1:{port}");
    let mut sockets = sockets(&[&closed, &format!("db:1={closed}"), "gone:1=no-such-host.invalid:1"]);
    let refused = Failure::Io(ErrorKind::ConnectionRefused);
    assert_eq!(connect(&mut sockets, "127.0.0.1", port).await, Err(refused));
    assert_eq!(connect(&mut sockets, "db", 1).await, Err(refused));
    assert_eq!(connect(&mut sockets, "gone", 1).await, Err(Failure::Io(ErrorKind::HostUnreachable)));
    let fresh = sockets.open().unwrap();
    assert_eq!(sockets.write(fresh, b"x").await, Err(Failure::Io(ErrorKind::NotConnected)));
    assert_eq!(sockets.shutdown(fresh, &[Direction::Write]), Err(Failure::Io(ErrorKind::NotConnected)));
}

#[cfg(unix)]
#[tokio::test]
async fn a_target_may_be_a_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db.sock");
    let rule = format!("db:3306=unix:{}", path.display());
    let mut sockets = sockets(&[&rule]);
    assert_eq!(connect(&mut sockets, "db", 3306).await, Err(Failure::Io(ErrorKind::ConnectionRefused)), "not there");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let number = connect(&mut sockets, "db", 3306).await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    peer.write_all(b"hello").await.unwrap();
    let mut buffer = [0; 8];
    assert_eq!(ready(&mut sockets, number, Direction::Read).await, 5);
    assert_eq!(sockets.read(number, &mut buffer, true).await, Ok(5));
    assert_eq!(sockets.read(number, &mut buffer, false).await, Ok(5));
    drop(peer);
    let dead = loop {
        if let Err(failure) = sockets.write(number, b"x").await {
            break failure;
        }
    };
    assert_eq!(dead, Failure::Io(ErrorKind::BrokenPipe));
}

#[tokio::test]
async fn one_that_does_not_block_says_so_and_is_ready_only_when_it_is() {
    let (listener, port) = listen().await;
    let mut sockets = sockets(&[&format!("localhost:{port}")]);
    let number = sockets.open().unwrap();
    sockets.set_non_blocking(number, true).unwrap();
    let peer = || Peer::Address("127.0.0.1".parse().unwrap());
    let begun = sockets.connect(number, peer(), port).await;
    assert!(matches!(begun, Ok(()) | Err(Failure::InProgress)), "{begun:?}");
    assert_eq!(ready(&mut sockets, number, Direction::Write).await, 0);
    assert_eq!(sockets.take_error(number), Ok(None));
    assert_eq!(sockets.connect(number, peer(), port).await, Err(Failure::IsConnected));
    let (mut peer, _) = listener.accept().await.unwrap();
    let mut buffer = [0; 4];
    for _ in 0..3 {
        assert_eq!(sockets.read(number, &mut buffer, false).await, Err(AGAIN));
        assert!(!is_ready(&mut sockets, number, Direction::Read).await);
    }
    peer.write_all(b"abcd").await.unwrap();
    assert_eq!(ready(&mut sockets, number, Direction::Read).await, 4);
    assert_eq!(sockets.read(number, &mut buffer, false).await, Ok(4));
    assert!(!is_ready(&mut sockets, number, Direction::Read).await, "it was read empty");
    assert_eq!(sockets.read(number, &mut buffer, false).await, Err(AGAIN));
}

#[tokio::test]
async fn a_connect_that_fails_later_is_told_once() {
    let (listener, port) = listen().await;
    drop(listener);
    let mut sockets = sockets(&[&format!("127.0.0.1:{port}")]);
    let number = sockets.open().unwrap();
    sockets.set_non_blocking(number, true).unwrap();
    let refused = Failure::Io(ErrorKind::ConnectionRefused);
    match sockets.connect(number, Peer::Address("127.0.0.1".parse().unwrap()), port).await {
        Err(Failure::InProgress) => {
            ready(&mut sockets, number, Direction::Write).await;
            assert_eq!(sockets.take_error(number), Ok(Some(refused)));
        }
        other => assert_eq!(other, Err(refused)),
    }
    assert_eq!(sockets.take_error(number), Ok(None));
}

#[tokio::test]
async fn a_peer_that_does_not_read_makes_a_writer_wait() {
    let (mut sockets, number, mut peer) = pair().await;
    sockets.set_non_blocking(number, true).unwrap();
    let piece = vec![7; 1 << 20];
    let mut sent = 0;
    while let Ok(count) = sockets.write(number, &piece).await {
        sent += count;
        assert!(sent < 64 << 20, "the kernel holds no end of it");
    }
    assert_eq!(sockets.write(number, &piece).await, Err(AGAIN));
    assert!(!is_ready(&mut sockets, number, Direction::Write).await);
    let mut received = vec![0; sent];
    let (_, read) = tokio::join!(ready(&mut sockets, number, Direction::Write), peer.read_exact(&mut received));
    assert_eq!(read.unwrap(), sent);
    assert!(received.iter().all(|byte| *byte == 7));
    // One that blocks writes all of it.
    sockets.set_non_blocking(number, false).unwrap();
    let large = vec![9; 4 << 20];
    let mut received = vec![0; large.len()];
    let (wrote, read) = tokio::join!(sockets.write(number, &large), peer.read_exact(&mut received));
    assert_eq!((wrote, read.unwrap()), (Ok(large.len()), large.len()));
}

#[tokio::test]
async fn reads_and_writes_wait_as_long_as_they_are_told() {
    let (mut sockets, number, _peer) = pair().await;
    let short = Some(Duration::from_millis(20));
    sockets.set_timeout(number, Direction::Read, short).unwrap();
    sockets.set_timeout(number, Direction::Write, short).unwrap();
    assert_eq!(sockets.timeout(number, Direction::Read), Ok(short));
    assert_eq!(sockets.read(number, &mut [0; 4], false).await, Err(AGAIN));
    let large = vec![0; 64 << 20];
    let written = sockets.write(number, &large).await.unwrap();
    assert!(0 < written && written < large.len(), "{written}");
    // The kernel may yet move some of it on to the peer.
    let full = loop {
        if let Err(failure) = sockets.write(number, &large).await {
            break failure;
        }
    };
    assert_eq!(full, AGAIN);
}

#[tokio::test]
async fn a_half_that_is_shut_down_is_an_end_for_the_peer() {
    let (mut sockets, number, mut peer) = pair().await;
    sockets.write(number, b"last").await.unwrap();
    sockets.shutdown(number, &[Direction::Write]).unwrap();
    let mut all = Vec::new();
    peer.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"last");
    assert_eq!(sockets.write(number, b"x").await, Err(Failure::Io(ErrorKind::BrokenPipe)));
    peer.write_all(b"answer").await.unwrap();
    assert_eq!(sockets.read(number, &mut [0; 16], false).await, Ok(6));
}

#[tokio::test]
async fn a_normal_end_sends_what_was_written_and_any_other_resets() {
    let (mut sockets, number, mut peer) = pair().await;
    sockets.write(number, b"last words").await.unwrap();
    sockets.end_well();
    drop(sockets);
    let mut all = Vec::new();
    peer.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"last words");

    let (sockets, _, mut peer) = pair().await;
    drop(sockets);
    assert_eq!(peer.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_exchange_has_so_many_connections_and_gets_them_back() {
    let (listener, port) = listen().await;
    let limits = Limits { connections: 3, ..Limits::default() };
    let outbound = Arc::new(service(&[&format!("localhost:{port}")], limits));
    let mut sockets = exchange(&outbound);
    let mut peers = Vec::new();
    for _ in 0..3 {
        connect(&mut sockets, "127.0.0.1", port).await.unwrap();
        peers.push(listener.accept().await.unwrap());
    }
    assert_eq!(connect(&mut sockets, "127.0.0.1", port).await, Err(Failure::TooMany));
    sockets.close(1).unwrap();
    assert_eq!(sockets.close(1), Err(Failure::NoSocket));
    assert_eq!(connect(&mut sockets, "127.0.0.1", port).await, Ok(1), "the lowest number that is free");
}

#[tokio::test]
async fn sockets_that_are_only_open_are_limited_too() {
    let mut sockets = sockets(&[]);
    assert!(!sockets.were_used());
    let opened = (0..).take_while(|_| sockets.open().is_ok()).count();
    assert_eq!(opened, MAX_SOCKETS);
    sockets.close(7).unwrap();
    assert!(!sockets.has(7) && sockets.has(8) && !sockets.has(MAX_SOCKETS));
    assert_eq!(sockets.open(), Ok(7));
}

#[tokio::test]
async fn one_waits_for_a_free_connection_of_the_service_until_its_time_is_up() {
    let (listener, port) = listen().await;
    let limits = Limits { of_service: 1, connect: Duration::from_millis(50), ..Limits::default() };
    let outbound = Arc::new(service(&[&format!("localhost:{port}")], limits));
    let (mut first, mut second) = (exchange(&outbound), exchange(&outbound));
    let number = connect(&mut first, "127.0.0.1", port).await.unwrap();
    listener.accept().await.unwrap();
    assert_eq!(connect(&mut second, "127.0.0.1", port).await, Err(Failure::Io(ErrorKind::TimedOut)));
    first.close(number).unwrap();
    connect(&mut second, "127.0.0.1", port).await.unwrap();
    drop(second);
    connect(&mut first, "127.0.0.1", port).await.unwrap();
}

#[tokio::test]
async fn names_are_not_looked_up_or_remembered_without_end() {
    let mut outbound = service(&["*:1"], Limits::default());
    outbound.resolver.zone.insert("x.example", vec!["203.0.113.7".parse().unwrap()]);
    let mut sockets = exchange(&Arc::new(outbound));
    let looked_up = async {
        for count in 0.. {
            if let Err(failure) = sockets.look_up("x.example").await {
                return (count, failure);
            }
        }
        unreachable!("it ends");
    };
    assert_eq!(looked_up.await, (256, Failure::TooMany));
}
