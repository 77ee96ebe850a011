//! The fields of a script's response head, and which kind of response they make (RFC 3875 §6.2, §6.3).
//!
//! In: a whole head with its blank line. Out: a [`Head`] of valid HTTP. It must not know how the head
//! arrived, or the request that it answers.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::hop_by_hop::{is_hop_by_hop, named_by_connection};
use crate::error::{Error, ErrorKind};

/// The meaning of a script's response head.
#[derive(Debug)]
pub(crate) enum Head {
    /// A document or client redirect response (RFC 3875 §6.2.1, §6.2.3, §6.2.4): to be sent.
    Response(ResponseHead),
    /// A local redirect response (§6.2.2): path and query, as the script wrote them, to be requested from the same
    /// service.
    LocalRedirect(String),
}

/// The head of a response for the client.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    /// Without hop-by-hop fields, `Status` and `Content-Length`.
    pub(crate) headers: HeaderMap,
    /// The length of the body, according to the script.
    pub(crate) content_length: Option<u64>,
    /// Whether the script's output after its head is the response's body. Otherwise it is dropped.
    pub(crate) has_body: bool,
}

/// Reads a head.
///
/// # Errors
///
/// `MalformedResponse` for a head that is no CGI response, or that two readers could read differently.
pub(crate) fn parse(head: &Bytes) -> Result<Head, Error> {
    let Fields { mut headers, status, location, content_length } = Fields::parse(head)?;
    if let (Some(location), None) = (&location, status)
        // §6.2.2: with no other field. A script that sets a cookie and redirects wants the client to have both.
        && headers.is_empty()
        && let Some(path) = as_local(location)?
    {
        return Ok(Head::LocalRedirect(path));
    }
    let has_type = headers.contains_key(header::CONTENT_TYPE);
    let (status, has_body) = match (status, &location) {
        // §6.2.4, and §6.2.1 with a Location, as in 201: the status is as said.
        (Some(status), _) => (status, !is_bodiless(status)),
        // §6.2.3: without a type there is no body. With a type, §6.2.4 wants the status as well. Apache fills in 302, and
        // so do we: 200 would hide the redirect, and a local redirect would hide the document.
        (None, Some(_)) => (StatusCode::FOUND, has_type),
        (None, None) if has_type => (StatusCode::OK, true), // §6.3.3
        // §6.3: at least one CGI field must be there.
        (None, None) => {
            let error = malformed("the response head has neither Content-Type, Location nor Status");
            return Err(error.quoting(first_line(head)));
        }
    };
    if let Some(location) = location {
        headers.insert(header::LOCATION, location);
    }
    // 304 alone may have the length of a body it does not have (RFC 9110 §8.6).
    let content_length = content_length.filter(|_| has_body || status == StatusCode::NOT_MODIFIED);
    Ok(Head::Response(ResponseHead { status, headers, content_length, has_body }))
}

/// The fields of a head. Those with a meaning here stand apart.
#[derive(Default)]
struct Fields {
    headers: HeaderMap,
    status: Option<StatusCode>,
    location: Option<HeaderValue>,
    content_length: Option<u64>,
}

impl Fields {
    fn parse(head: &Bytes) -> Result<Self, Error> {
        let mut storage = [httparse::EMPTY_HEADER; MAX_FIELDS];
        // Strict by default: no folded lines, no space before the colon, no bare CR, tokens only (RFC 9112 §5).
        let fields = match httparse::parse_headers(head, &mut storage) {
            Ok(httparse::Status::Complete((end, fields))) if end == head.len() => fields,
            Ok(_) => return Err(malformed("the response head does not end with its blank line")),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(malformed("the response head has more than 128 fields"));
            }
            Err(error) => {
                let line = lines(head).find(|line| is_malformed(line)).unwrap_or_default();
                return Err(malformed("the response head has a malformed line").quoting(line).with_source(error));
            }
        };

        let mut this = Self::default();
        // No line is folded, so each is a field.
        for (field, line) in fields.iter().zip(lines(head)) {
            this.add_field(head, field).map_err(|error| error.quoting(line))?;
        }
        for name in named_by_connection(&this.headers) {
            this.headers.remove(name);
        }
        // Only its options matter.
        this.headers.remove(header::CONNECTION);
        Ok(this)
    }

    fn add_field(&mut self, head: &Bytes, field: &httparse::Header<'_>) -> Result<(), Error> {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(invalid)?;
        // Shares the head's bytes. Checks once more that a value cannot end its line.
        let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value)).map_err(invalid)?;
        self.add(name, value)
    }

    fn add(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), Error> {
        // §6.3: a CGI field must not appear twice.
        if name == header::LOCATION {
            if value.is_empty() {
                return Err(malformed("the response head has an empty Location"));
            }
            refuse_second(self.location.replace(value).is_some(), "the response head has several Location fields")
        } else if name.as_str() == "status" {
            let status = parse_status(value.as_bytes())?;
            refuse_second(self.status.replace(status).is_some(), "the response head has several Status fields")
        } else if name == header::CONTENT_LENGTH {
            let length = parse_content_length(value.as_bytes(), self.content_length)?;
            self.content_length = Some(length);
            Ok(())
        } else if name == header::CONTENT_TYPE {
            let replaced = self.headers.insert(name, value).is_some();
            refuse_second(replaced, "the response head has several Content-Type fields")
        } else if name == header::CONNECTION || !is_hop_by_hop(&name) {
            self.headers.append(name, value);
            Ok(())
        } else {
            Ok(())
        }
    }
}

/// Path and query, if the location is a local one.
///
/// RFC 3875 §6.3.2: `abs-path [ "?" query-string ]`. `//host` is not an abs-path: it names a host. A fragment is only
/// for clients. Both go to the client as they are.
fn as_local(location: &HeaderValue) -> Result<Option<String>, Error> {
    let text = location.as_bytes();
    if !text.starts_with(b"/") || text.starts_with(b"//") || text.contains(&b'#') {
        return Ok(None);
    }
    match std::str::from_utf8(text) {
        Ok(path) => Ok(Some(path.to_owned())),
        Err(error) => Err(malformed("the response head has a Location that is not UTF-8").with_source(error)),
    }
}

/// RFC 3875 §6.3.3: three digits, a space and a phrase. The phrase may be missing; it is not sent on anyway.
///
/// From 200 to 599: the server makes interim responses, and no client knows a sixth class.
fn parse_status(text: &[u8]) -> Result<StatusCode, Error> {
    let code = match text {
        [a, b, c] | [a, b, c, b' ' | b'\t', ..] => StatusCode::from_bytes(&[*a, *b, *c]).ok(),
        _ => None,
    };
    code.filter(|code| (200..600).contains(&code.as_u16()))
        .ok_or_else(|| malformed("the response head has an invalid Status"))
}

/// RFC 9110 §8.6: digits, or a list of the same digits. Two readers must not read two lengths.
fn parse_content_length(text: &[u8], before: Option<u64>) -> Result<u64, Error> {
    let mut length = before;
    for member in text.split(|byte| *byte == b',') {
        let digits =
            std::str::from_utf8(member.trim_ascii()).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok());
        let number = number.ok_or_else(|| malformed("the response head has an invalid Content-Length"))?;
        if length.is_some_and(|length| length != number) {
            return Err(malformed("the response head has two different Content-Lengths"));
        }
        length = Some(number);
    }
    length.ok_or_else(|| malformed("the response head has an empty Content-Length"))
}

/// RFC 9110 §15.3.5, §15.3.6, §15.4.5.
fn is_bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The text before the first end of a line, for the log.
pub(super) fn first_line(head: &[u8]) -> &[u8] {
    lines(head).next().unwrap_or_default()
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|byte| *byte == b'\n')
}

/// Whether a line cannot be part of a head, judged by itself.
fn is_malformed(line: &[u8]) -> bool {
    httparse::parse_headers(&[line, b"\n\n"].concat(), &mut [httparse::EMPTY_HEADER; 1]).is_err()
}

fn refuse_second(second: bool, message: &'static str) -> Result<(), Error> {
    if second { Err(malformed(message)) } else { Ok(()) }
}

fn invalid(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    malformed("the response head has an invalid field").with_source(source)
}

fn malformed(message: &'static str) -> Error {
    Error::new(ErrorKind::MalformedResponse, message)
}

/// As many as hyper and Apache take from a server.
const MAX_FIELDS: usize = 128;
