//! native: calls WASI 0.2 itself, where no libc and no adapter stands between.
//!
//! ```text
//!   op=lines&n=N      N lines, each through a stdout of its own that is given back
//!   op=exit&code=N    "bye", then exit-with-code N
//!   op=fail           "bye", then the error that `run` can return
//!   op=net            what each kind of socket and a look-up of a name answer
//!   op=connect&host=HOST&port=N&say=TEXT    looks up, connects, writes, and prints what comes until the end
//!   op=random&n=N     N random bytes at once, "ok N"
//!   op=poll&n=N       waits for N clocks at once, "ok N"
//!   op=write|append&path=/MOUNT/FILE    opens without reading or emptying, then writes "x" at 0 or appends it
//!   op=outlive&path=/MOUNT/FILE         writes, keeps the stream and gives the file back; then waits for stdin's end
//!   op=many&n=N&path=/MOUNT/FILE        opens, keeps a stream and gives the file back, up to N times; "ok" and how often
//! ```

use wasip2::cli::{environment, exit, stdin, stdout};
use wasip2::clocks::monotonic_clock;
use wasip2::filesystem::preopens;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasip2::io::poll;
use wasip2::random::random;
use wasip2::sockets::network::{ErrorCode as NetError, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::tcp::ShutdownType;
use wasip2::sockets::{instance_network, ip_name_lookup, tcp_create_socket, udp_create_socket};

struct Native;

wasip2::cli::command::export!(Native);

impl wasip2::exports::cli::run::Guest for Native {
    fn run() -> Result<(), ()> {
        say("Content-Type: text/plain\n\n");
        let query = Query::read();
        let n = query.number("n");
        match query.get("op") {
            "lines" => (0..n).for_each(|line| say(&format!("line {line}\n"))),
            "exit" => {
                say("bye\n");
                exit::exit_with_code(u8::try_from(query.number("code")).unwrap_or(255));
            }
            "fail" => {
                say("bye\n");
                return Err(());
            }
            "net" => {
                tell("tcp", tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4));
                tell("udp", udp_create_socket::create_udp_socket(IpAddressFamily::Ipv6));
                let network = instance_network::instance_network();
                tell("name", ip_name_lookup::resolve_addresses(&network, "localhost"));
            }
            "connect" => {
                match talk(query.get("host"), u16::try_from(query.number("port")).unwrap_or(0), query.get("say")) {
                    Ok(said) => say(&format!("{said}\n")),
                    Err(error) => say(&format!("{error}\n")),
                }
            }
            "random" => say(&format!("ok {}\n", random::get_random_bytes(n).len())),
            "poll" => {
                let clocks: Vec<_> = (0..n).map(|_| monotonic_clock::subscribe_duration(0)).collect();
                say(&format!("ok {}\n", poll::poll(&clocks.iter().collect::<Vec<_>>()).len()));
            }
            "write" => {
                let file = open(query.get("path"), OpenFlags::CREATE, DescriptorFlags::WRITE);
                say("opened\n");
                tell("write", file.and_then(|file| file.write(b"x", 0)));
            }
            "append" => {
                let file = open(query.get("path"), OpenFlags::CREATE, DescriptorFlags::WRITE);
                tell(
                    "append",
                    file.and_then(|file| file.append_via_stream())
                        .map(|stream| stream.blocking_write_and_flush(b"x").is_ok()),
                );
            }
            "outlive" => {
                let file = open(query.get("path"), OpenFlags::CREATE | OpenFlags::TRUNCATE, DescriptorFlags::WRITE);
                let stream = file.and_then(|file| file.write_via_stream(0)).unwrap();
                say("kept\n");
                while stdin::get_stdin().blocking_read(1).is_ok() {}
                tell("written", stream.blocking_write_and_flush(b"kept"));
            }
            "many" => {
                let mut streams = Vec::new();
                while (streams.len() as u64) < n {
                    let file = open(query.get("path"), OpenFlags::empty(), DescriptorFlags::READ);
                    let Ok(stream) = file.and_then(|file| file.read_via_stream(0)) else { break };
                    streams.push(stream);
                }
                say(&format!("ok {}\n", streams.len()));
            }
            _ => say("what?\n"),
        }
        Ok(())
    }
}

/// What the peer answers, or which call has failed with what.
fn talk(host: &str, port: u16, text: &str) -> Result<String, String> {
    let network = instance_network::instance_network();
    let failed = |what: &'static str| move |error: NetError| format!("{what}: {}", error.name());
    let found = ip_name_lookup::resolve_addresses(&network, host).map_err(failed("look-up"))?;
    found.subscribe().block();
    let found = found.resolve_next_address().map_err(failed("look-up"))?;
    let (family, address) = match found {
        Some(IpAddress::Ipv4(address)) => {
            (IpAddressFamily::Ipv4, IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }))
        }
        _ => return Err("look-up: nothing".to_owned()),
    };
    let socket = tcp_create_socket::create_tcp_socket(family).map_err(failed("create"))?;
    socket.start_connect(&network, address).map_err(failed("start"))?;
    let (input, output) = loop {
        match socket.finish_connect() {
            Err(NetError::WouldBlock) => socket.subscribe().block(),
            finished => break finished.map_err(failed("connect"))?,
        }
    };
    output.blocking_write_and_flush(text.as_bytes()).map_err(|error| format!("write: {error:?}"))?;
    socket.shutdown(ShutdownType::Send).map_err(failed("shutdown"))?;
    let mut all = Vec::new();
    while let Ok(bytes) = input.blocking_read(4096) {
        all.extend(bytes);
    }
    let peer = socket.remote_address().map_err(failed("peer"))?;
    Ok(format!("{} {peer:?}", String::from_utf8_lossy(&all)))
}

fn say(text: &str) {
    let _ = stdout::get_stdout().blocking_write_and_flush(text.as_bytes());
}

fn tell<T, E: std::fmt::Debug>(what: &str, result: Result<T, E>) {
    match result {
        Ok(_) => say(&format!("{what}: ok\n")),
        Err(error) => say(&format!("{what}: {error:?}\n")),
    }
}

/// A file of a mount: `/MOUNT/FILE`.
fn open(path: &str, how: OpenFlags, wanted: DescriptorFlags) -> Result<Descriptor, ErrorCode> {
    let mounts = preopens::get_directories();
    let at = mounts.iter().find_map(|(dir, name)| Some((dir, path.strip_prefix(name.as_str())?.strip_prefix('/')?)));
    let (dir, file) = at.ok_or(ErrorCode::NoEntry)?;
    dir.open_at(PathFlags::SYMLINK_FOLLOW, file, how, wanted)
}

/// The query string, in which nothing is encoded.
struct Query(String);

impl Query {
    fn read() -> Self {
        let variables = environment::get_environment();
        Self(variables.into_iter().find(|(name, _)| name == "QUERY_STRING").map(|(_, value)| value).unwrap_or_default())
    }

    fn get(&self, name: &str) -> &str {
        self.0
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map_or("", |(_, value)| value)
    }

    fn number(&self, name: &str) -> u64 {
        self.get(name).parse().unwrap_or(0)
    }
}
