//! A client that asks for one thing at a time and looks at the clock when its answer's first and last byte come. It knows
//! as much of HTTP/1.1 as the servers here need.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// What to ask, and whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Url<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'a str,
}

impl fmt::Display for Url<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.address, self.path)
    }
}

/// A response as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The body, as far as it was to be kept, still in the chunks of RFC 9112 §7.1 where the server used them.
    pub(crate) body: Vec<u8>,
    /// The body's length as it came over the wire.
    pub(crate) bytes: u64,
    /// From before the request was sent.
    pub(crate) first_byte: Duration,
    pub(crate) last_byte: Duration,
}

/// A connection that is kept open between requests.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    address: SocketAddr,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, address })
    }

    /// Sends the head of a request and does not wait for anything. `fields` are whole header lines.
    pub(crate) fn send(&mut self, method: &str, path: &str, fields: &str) -> Result<()> {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", self.address);
        Ok(self.stream.write_all(head.as_bytes())?)
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<Reply> {
        let begin = Instant::now();
        self.send("GET", path, "")?;
        self.receive(begin).with_context(|| format!("no answer to GET {path}"))
    }

    /// Sends a form.
    pub(crate) fn post_form(&mut self, path: &str, form: &str) -> Result<Reply> {
        let begin = Instant::now();
        let fields = format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", form.len());
        self.send("POST", path, &fields)?;
        self.stream.write_all(form.as_bytes())?;
        self.receive(begin).with_context(|| format!("no answer to POST {path}"))
    }

    /// Sends what is left of a request whose head was [sent](Self::send), and reads the response.
    pub(crate) fn finish(&mut self, body: &[u8]) -> Result<Reply> {
        let begin = Instant::now();
        self.stream.write_all(body)?;
        self.receive(begin).context("no answer to the rest of a request")
    }

    /// Sends a body of that many bytes, from one block over and over.
    pub(crate) fn post_bytes(&mut self, path: &str, bytes: u64) -> Result<Reply> {
        let begin = Instant::now();
        self.send("POST", path, &format!("Content-Length: {bytes}\r\n"))?;
        let block = vec![b'a'; BLOCK];
        let mut left = bytes;
        while left > 0 {
            let len = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
            let part = block.get(..len).unwrap_or_default();
            self.stream.write_all(part).with_context(|| format!("{path} does not take its body"))?;
            left -= len as u64;
        }
        self.receive(begin).with_context(|| format!("no answer to POST {path}"))
    }

    /// Reads one response to its end. Of a long one, only the beginning is kept.
    fn receive(&mut self, begin: Instant) -> Result<Reply> {
        let mut block = vec![0; BLOCK];
        let mut head = Vec::new();
        let mut first_byte = None;
        let (end, head_len) = loop {
            let read = self.stream.read(&mut block)?;
            first_byte.get_or_insert_with(|| begin.elapsed());
            if read == 0 {
                bail!("the server closed the connection within the head");
            }
            head.extend_from_slice(block.get(..read).unwrap_or_default());
            if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                break (End::of(&String::from_utf8_lossy(head.get(..end).unwrap_or_default()))?, end + 4);
            }
        };
        let status = String::from_utf8_lossy(&head);
        let status = status.split_whitespace().nth(1).and_then(|status| status.parse().ok()).context("no status")?;

        let mut body = head.split_off(head_len);
        let mut bytes = body.len() as u64;
        // The end of a chunked body may come in two reads.
        let mut tail: Vec<u8> = body.iter().rev().take(LAST_CHUNK.len()).rev().copied().collect();
        while !end.is_reached(bytes, &tail) {
            let read = self.stream.read(&mut block)?;
            if read == 0 {
                if matches!(end, End::Close) {
                    break;
                }
                bail!("the server closed the connection within the body");
            }
            let part = block.get(..read).unwrap_or_default();
            bytes += read as u64;
            if body.len() < KEPT {
                body.extend_from_slice(part);
            }
            tail.extend_from_slice(part.get(read.saturating_sub(LAST_CHUNK.len())..).unwrap_or_default());
            tail.drain(..tail.len().saturating_sub(LAST_CHUNK.len()));
        }
        let last_byte = begin.elapsed();
        Ok(Reply { status, body, bytes, first_byte: first_byte.unwrap_or(last_byte), last_byte })
    }
}

/// Asks once, on a connection of its own, and insists on success and on what the answer has to contain.
pub(crate) fn check(url: Url<'_>, says: &str) -> Result<()> {
    let reply = Client::connect(url.address)?.get(url.path)?;
    let text = String::from_utf8_lossy(&reply.body);
    if reply.status != 200 || !text.contains(says) {
        let text: String = text.chars().take(300).collect();
        bail!("{url} answers {} without `{says}`: {text}", reply.status);
    }
    Ok(())
}

/// Where a body ends: RFC 9112 §6.3.
#[derive(Debug)]
enum End {
    Length(u64),
    LastChunk,
    Close,
}

impl End {
    fn of(head: &str) -> Result<Self> {
        for line in head.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                return Ok(Self::Length(value.trim().parse().context("the response has no proper length")?));
            }
            if name.eq_ignore_ascii_case("transfer-encoding") {
                return Ok(Self::LastChunk);
            }
        }
        Ok(Self::Close)
    }

    fn is_reached(&self, bytes: u64, tail: &[u8]) -> bool {
        match self {
            Self::Length(length) => bytes >= *length,
            // An empty body is the last chunk alone.
            Self::LastChunk => tail == LAST_CHUNK || (bytes == 5 && tail.ends_with(b"0\r\n\r\n")),
            Self::Close => false,
        }
    }
}

const BLOCK: usize = 64 << 10;
/// Enough to see whether an answer is the right one.
const KEPT: usize = 64 << 10;
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";
/// Longer than any answer here takes.
const PATIENCE: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What a client makes of a response that comes in these pieces, each seen before the next is sent.
    fn received(pieces: &[&str]) -> Result<Reply> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                stream.set_nodelay(true).unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut block = [0; 1024];
                    let read = stream.read(&mut block).unwrap();
                    request.extend_from_slice(&block[..read]);
                }
                for piece in pieces {
                    stream.write_all(piece.as_bytes()).unwrap();
                }
            });
            Client::connect(address)?.get("/")
        })
    }

    #[test]
    fn a_body_ends_at_its_length_its_last_chunk_or_the_connections_end() {
        let by_length = received(&["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n", "\r\nab", "cde"]).unwrap();
        assert_eq!((by_length.status, by_length.body.as_slice()), (200, b"abcde".as_slice()));
        let chunked = ["HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc", "\r\n0", "\r", "\n\r\n"];
        let chunked = received(&chunked).unwrap();
        assert_eq!((chunked.status, chunked.bytes), (404, 13));
        let empty = received(&["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n"]).unwrap();
        assert_eq!(empty.bytes, 5);
        let by_close = received(&["HTTP/1.1 200 OK\r\n\r\nab", "c"]).unwrap();
        assert_eq!(by_close.body, b"abc");
    }

    #[test]
    fn a_response_that_is_cut_is_an_error() {
        for pieces in [
            ["HTTP/1.1 200 OK\r\nContent-Le", ""],
            ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "abcd"],
            ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n0\r\n"],
        ] {
            assert!(received(&pieces).is_err());
        }
    }
}
