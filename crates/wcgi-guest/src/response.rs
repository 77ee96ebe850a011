//! The response of a CGI program: a head that begins with `Status`, then the body, frame by frame.
//!
//! In: the service's response. Out: bytes on stdout. It must know nothing of the request except its method.

use std::error::Error;
use std::future::poll_fn;
use std::io::{self, Write};
use std::pin::pin;

use bytes::Buf;
use http::response::Parts;
use http::{HeaderName, Method, Response, StatusCode, header};
use http_body::Body;

use crate::failure::Failure;

/// Where the response goes.
pub(crate) struct Output<W> {
    stream: W,
    /// Whether some of the response may have been written.
    has_begun: bool,
}

impl<W: Write> Output<W> {
    pub(crate) fn new(stream: W) -> Self {
        Self { stream, has_begun: false }
    }

    /// Writes a response, each frame when it comes. Its trailers are left out: CGI has no place for them.
    pub(crate) async fn send<B>(&mut self, method: &Method, response: Response<B>) -> Result<(), Failure>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (parts, body) = response.into_parts();
        let length = body.size_hint().exact();
        self.write(&head(method, &parts, length)?)?;
        // The client reads none, and the server must not take it for the next response (RFC 3875 §4.3.3, RFC 9110 §6.4.1).
        if method == Method::HEAD || is_bodiless(parts.status) {
            return Ok(());
        }

        let mut body = pin!(body);
        while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
            let frame = frame.map_err(|error| Failure::new("the response's body failed").because(error))?;
            let Ok(mut data) = frame.into_data() else { continue };
            while data.has_remaining() {
                let chunk = data.chunk();
                let written = chunk.len();
                self.write(chunk)?;
                data.advance(written);
            }
        }
        Ok(())
    }

    /// Tells the client that there is no response, unless one has begun.
    pub(crate) fn refuse(&mut self, status: StatusCode) {
        if !self.has_begun {
            let reason = status.canonical_reason().unwrap_or_default();
            let code = status.as_u16();
            let text = format!("Status: {code} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{reason}\n");
            // The failure has been reported already.
            let _ = self.write(text.as_bytes());
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.has_begun = true;
        let written = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
        written.map_err(|error: io::Error| Failure::new("the response cannot be written").because(error))
    }
}

/// The head (RFC 3875 §6.3), with the empty line at its end.
fn head(method: &Method, parts: &Parts, body_length: Option<u64>) -> Result<Vec<u8>, Failure> {
    let status = parts.status;
    if status.is_informational() {
        return Err(Failure::new(format!("the service answered {status}, which does not end an exchange")));
    }
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = format!("Status: {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in &parts.headers {
        // It would be taken for the status.
        if name == "status" {
            return Err(Failure::new(
                "the service answered with a header called `Status`, which CGI has no way to say",
            ));
        }
        if is_of_connection(name) || (name == header::CONTENT_LENGTH && status == StatusCode::NO_CONTENT) {
            continue;
        }
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    // With it servers need no other mark of the end. After HEAD, an empty body says nothing about the body of GET.
    let is_known = body_length.is_some_and(|length| length > 0 || method != Method::HEAD) && !is_bodiless(status);
    if let Some(length) = body_length.filter(|_| is_known && !parts.headers.contains_key(header::CONTENT_LENGTH)) {
        head.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    Ok(head)
}

/// Whether the field is about the connection (RFC 9110 §7.6.1), which belongs to the server.
pub(crate) fn is_of_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    )
}

fn is_bodiless(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}
