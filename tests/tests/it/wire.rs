//! Clients for tests that look at the bytes on the wire: HTTP/1.1 by hand, HTTP/2 with prior knowledge.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wcgi_tests::Server;

/// A response as a client saw it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// In the order they came, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The body came to the end its framing promised.
    pub(crate) whole: bool,
}

impl Answer {
    /// The value of a header, or the empty string.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    /// Every value of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(n, _)| n == name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of `name` in a body of `NAME=VALUE` lines.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let text = self.text();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    }

    /// The client saw the text of `status` and nothing else.
    #[track_caller]
    pub(crate) fn expect_only(&self, status: StatusCode) {
        let wanted = status.canonical_reason().unwrap();
        assert_eq!((self.status, self.text().as_str(), self.whole), (status, wanted, true));
        let mut names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.retain(|name| !matches!(*name, "date" | "connection" | "retry-after"));
        assert_eq!(names, ["content-type", "content-length"], "nothing of the script's head leaks");
    }

    /// Reads what a server sent on a connection. `is_head` says that the request was HEAD.
    fn parse(received: &[u8], is_head: bool) -> Self {
        let end = received.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        let end = end.unwrap_or_else(|| panic!("no response head in {:?}", String::from_utf8_lossy(received)));
        let head = String::from_utf8_lossy(&received[..end]).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let status: StatusCode = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        if status == StatusCode::CONTINUE {
            return Self::parse(&received[end..], is_head);
        }
        let headers: Vec<_> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Self { status, headers, body: received[end..].to_vec(), whole: true };
        if is_head || matches!(status.as_u16(), 204 | 304) {
            answer.whole = answer.body.is_empty();
        } else if answer.header("transfer-encoding") == "chunked" {
            (answer.body, answer.whole) = unchunk(&answer.body);
        } else if answer.has("content-length") {
            answer.whole = answer.header("content-length").parse() == Ok(answer.body.len());
        }
        answer
    }
}

/// Sends `request` as it is while it reads, until the server closes or breaks the connection.
pub(crate) async fn send(server: &Server, request: impl AsRef<[u8]>) -> Answer {
    send_until(server, request.as_ref(), |_| false).await
}

/// As [`send`], but a whole answer is enough: of a request that is never sent to its end, the server may wait for the rest.
pub(crate) async fn send_part(server: &Server, request: impl AsRef<[u8]>) -> Answer {
    let request = request.as_ref();
    let is_head = request.starts_with(b"HEAD ");
    let has_head = |received: &[u8]| received.windows(4).any(|window| window == b"\r\n\r\n");
    send_until(server, request, |received| has_head(received) && Answer::parse(received, is_head).whole).await
}

async fn send_until(server: &Server, request: &[u8], enough: impl Fn(&[u8]) -> bool) -> Answer {
    let (mut reader, mut writer) = server.connect().await.into_split();
    let mut received = Vec::new();
    let read = async {
        let mut buffer = vec![0; 64 << 10];
        // A connection that is reset has answered as far as it has.
        while let Ok(n) = reader.read(&mut buffer).await {
            received.extend_from_slice(&buffer[..n]);
            if n == 0 || enough(&received) {
                break;
            }
        }
    };
    let write = async {
        // A server that has answered need not read the rest.
        let _ = writer.write_all(request).await;
        // Half of the connection stays open, as a client that is gone would end the exchange.
        std::future::pending::<()>().await;
    };
    let done = async {
        tokio::select! { () = read => {} () = write => {} }
    };
    tokio::time::timeout(Duration::from_secs(60), done).await.expect("the server answers and closes the connection");
    Answer::parse(&received, request.starts_with(b"HEAD "))
}

/// A request without a body; `fields` are more header fields, each with its line end.
pub(crate) async fn ask(server: &Server, method: &str, target: &str, fields: &str) -> Answer {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    send(server, head).await
}

pub(crate) async fn get(server: &Server, target: &str) -> Answer {
    ask(server, "GET", target, "").await
}

/// POSTs `body` to `target`.
pub(crate) async fn post(server: &Server, target: &str, body: impl AsRef<[u8]>) -> Answer {
    let body = body.as_ref();
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    send(server, [head.as_bytes(), body].concat()).await
}

/// Everything but what is plainly harmless, percent-encoded.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    let mut encoded = String::new();
    for byte in bytes.as_ref() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'/' | b':' => {
                encoded.push(char::from(*byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// How a response over HTTP/2 ended.
#[derive(Debug)]
pub(crate) struct Answer2 {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The stream's reset, if it did not end well.
    pub(crate) reset: Option<h2::Reason>,
}

impl Answer2 {
    /// The value of `name` in a body of `NAME=VALUE` lines.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    }
}

/// Sends `request` over a connection of its own, HTTP/2 with prior knowledge, then `body` in the given pieces, the first
/// of which may be empty.
pub(crate) async fn send2(server: &Server, request: Request<()>, body: &[&'static [u8]]) -> Answer2 {
    let (send, connection) = h2::client::handshake(server.connect().await).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut send = send.ready().await.unwrap();
    let (response, mut stream) = send.send_request(request, body.is_empty()).unwrap();
    for (n, piece) in body.iter().enumerate() {
        stream.send_data(Bytes::from_static(piece), n + 1 == body.len()).unwrap();
    }
    let (parts, mut incoming) = response.await.unwrap().into_parts();
    let mut answer = Answer2 { status: parts.status, headers: parts.headers, body: Vec::new(), reset: None };
    while let Some(data) = incoming.data().await {
        match data {
            Ok(data) => {
                answer.body.extend_from_slice(&data);
                let _ = incoming.flow_control().release_capacity(data.len());
            }
            Err(error) => {
                answer.reset = error.reason();
                break;
            }
        }
    }
    connection.abort();
    answer
}

/// The body in a chunked one, and whether its last chunk came.
fn unchunk(mut chunked: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = chunked.windows(2).position(|window| window == b"\r\n") else { return (body, false) };
        let size = usize::from_str_radix(std::str::from_utf8(&chunked[..line]).unwrap(), 16).unwrap();
        chunked = &chunked[line + 2..];
        if size == 0 {
            return (body, chunked == b"\r\n");
        }
        body.extend_from_slice(&chunked[..size.min(chunked.len())]);
        let Some(next) = chunked.get(size + 2..) else { return (body, false) };
        chunked = next;
    }
}
