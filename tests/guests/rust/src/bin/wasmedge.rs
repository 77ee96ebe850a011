//! wasmedge: a client by the crate that programs for WasmEdge use. `host` and `port` say with whom, `do` what: look-up, echo (sends
//! `say` and prints what comes until the end), timeout, nonblocking, listen.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use wasmedge_wasi_socket::socket::{AddressFamily, Socket, SocketType};
use wasmedge_wasi_socket::{Shutdown, TcpListener, TcpStream, UdpSocket, nslookup};

fn main() {
    print!("Content-Type: text/plain\r\n\r\n");
    match run() {
        Ok(said) => print!("{said}"),
        Err(error) => println!("{:?} {:?}", error.kind(), error.raw_os_error()),
    }
}

fn run() -> std::io::Result<String> {
    let query = std::env::var("QUERY_STRING").unwrap_or_default();
    let get = |name: &str| {
        let pair = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        pair.unwrap_or_default().to_owned()
    };
    let (host, port) = (get("host"), get("port").parse().unwrap_or(0));
    match get("do").as_str() {
        "look-up" => Ok(format!("{:?}\n", nslookup(&host, "http")?)),
        "echo" => {
            let mut stream = TcpStream::connect((host.as_str(), port))?;
            stream.write_all(get("say").as_bytes())?;
            stream.shutdown(Shutdown::Write)?;
            let mut all = String::new();
            stream.read_to_string(&mut all)?;
            Ok(all)
        }
        "timeout" => {
            let address = nslookup(&host, "http")?.into_iter().map(|address| (address.ip(), port).into()).next();
            let socket = Socket::new(AddressFamily::Inet4, SocketType::Stream)?;
            socket.connect(&address.unwrap())?;
            socket.set_recv_timeout(Some(Duration::from_millis(50)))?;
            let limit = socket.get_recv_timeout()?;
            let got = socket.recv(&mut [0; 4]).map_err(|error| error.raw_os_error());
            Ok(format!("{limit:?} {got:?} {:?}\n", socket.r#type().is_ok()))
        }
        "nonblocking" => {
            let address = (host.parse::<std::net::IpAddr>().unwrap(), port).into();
            let socket = Socket::new(AddressFamily::Inet4, SocketType::Stream)?;
            socket.set_nonblocking(true)?;
            let begun = socket.connect(&address).map_err(|error| error.raw_os_error());
            Ok(format!("{begun:?} {}\n", socket.nonblocking()?))
        }
        "listen" => {
            let listens = TcpListener::bind(("127.0.0.1", 0), false).is_ok();
            Ok(format!("{listens} {}\n", UdpSocket::bind(("127.0.0.1", 0)).is_ok()))
        }
        _ => Ok("nothing to do\n".to_owned()),
    }
}
