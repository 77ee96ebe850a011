//! Which part of the file answers the request, and with what head (RFC 9110 §13, §14).
//!
//! In: the request's method and fields, the response's status and fields so far, a file's length and time. Out: the
//! status, the fields completed in place, and the bytes to send. It is a pure function, and must not know files, tokio or the clock.

use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, EXPIRES, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::validators::{entity_tag, last_modified};
use crate::tree::Facts;

/// The answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) status: StatusCode,
    /// The bytes of the file that are the response's body. Empty if it has none.
    pub(crate) part: Range<u64>,
}

/// Plans the response to a request with `method` and the fields `asked`. `status` and `answer` are the script's. Its
/// validators count; its lengths and ranges do not.
pub(crate) fn plan(
    method: &Method,
    asked: &HeaderMap,
    status: StatusCode,
    facts: &Facts,
    answer: &mut HeaderMap,
) -> Plan {
    let &Facts { length, .. } = facts;
    let is_head = method == Method::HEAD;
    let whole = Plan { status, part: if is_head { 0..0 } else { 0..length } };
    answer.insert(CONTENT_LENGTH, length.into());
    // An error page stays one, whatever the client already has (§13.2.1, §14.2).
    if status != StatusCode::OK {
        return whole;
    }
    answer.remove(CONTENT_RANGE);
    answer.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let date_is_strong = add_validators(facts, answer);
    // The work of another method has been done by the script.
    if !is_head && method != Method::GET {
        return whole;
    }
    match failed_precondition(asked, answer) {
        Some(StatusCode::NOT_MODIFIED) => {
            // §15.4.5: of the content only what a cache needs.
            return without_content(StatusCode::NOT_MODIFIED, answer, &[ACCEPT_RANGES, CONTENT_LENGTH]);
        }
        Some(status) => return refused(status, answer),
        None => {}
    }
    // §14.2: for GET only.
    if is_head || !if_range_holds(asked, answer, date_is_strong) {
        return whole;
    }
    match only(asked, &RANGE).map_or(Wanted::Whole, |value| wanted(value, length)) {
        Wanted::Whole => whole,
        Wanted::Part(part) => {
            let (first, last) = (part.start, part.end - 1);
            answer.insert(CONTENT_LENGTH, (part.end - part.start).into());
            answer.insert(CONTENT_RANGE, ascii(format!("bytes {first}-{last}/{length}")));
            Plan { status: StatusCode::PARTIAL_CONTENT, part }
        }
        Wanted::Nothing => {
            answer.insert(CONTENT_RANGE, ascii(format!("bytes */{length}")));
            refused(StatusCode::RANGE_NOT_SATISFIABLE, answer)
        }
    }
}

/// Adds `ETag` and `Last-Modified` if they are missing. True if another version of the file has another date.
fn add_validators(facts: &Facts, answer: &mut HeaderMap) -> bool {
    if !answer.contains_key(ETAG)
        && let Some(tag) = entity_tag(facts)
    {
        answer.insert(ETAG, ascii(tag));
    }
    if answer.contains_key(LAST_MODIFIED) {
        return true;
    }
    let Some(date) = last_modified(facts) else { return false };
    answer.insert(LAST_MODIFIED, ascii(httpdate::fmt_http_date(date.shown)));
    date.is_strong
}

/// The status of the first precondition that does not hold, in the order of §13.2.2.
fn failed_precondition(asked: &HeaderMap, answer: &HeaderMap) -> Option<StatusCode> {
    let modified = answer.get(LAST_MODIFIED).and_then(date);
    if asked.contains_key(IF_MATCH) {
        if !lists(asked, IF_MATCH, answer, is_same_strong) {
            return Some(StatusCode::PRECONDITION_FAILED);
        }
    } else if let (Some(since), Some(modified)) = (only(asked, &IF_UNMODIFIED_SINCE).and_then(date), modified)
        && modified > since
    {
        return Some(StatusCode::PRECONDITION_FAILED);
    }
    if asked.contains_key(IF_NONE_MATCH) {
        return lists(asked, IF_NONE_MATCH, answer, is_same_weak).then_some(StatusCode::NOT_MODIFIED);
    }
    let since = only(asked, &IF_MODIFIED_SINCE).and_then(date)?;
    (modified? <= since).then_some(StatusCode::NOT_MODIFIED)
}

/// Whether the field `name` is `*` or has a tag that equals the answer's by `same`.
fn lists(asked: &HeaderMap, name: HeaderName, answer: &HeaderMap, same: fn(&[u8], &[u8]) -> bool) -> bool {
    let current = answer.get(ETAG).map(HeaderValue::as_bytes);
    asked.get_all(name).iter().any(|value| {
        value.as_bytes() == b"*" || current.is_some_and(|current| tags(value.as_bytes()).any(|tag| same(tag, current)))
    })
}

/// §13.1.5: a tag or a date. It must be strong and equal the answer's, because parts of two versions do not fit.
fn if_range_holds(asked: &HeaderMap, answer: &HeaderMap, date_is_strong: bool) -> bool {
    if !asked.contains_key(IF_RANGE) {
        return true;
    }
    let Some(condition) = only(asked, &IF_RANGE) else { return false };
    match answer.get(ETAG) {
        Some(current) if is_same_strong(condition.as_bytes(), current.as_bytes()) => true,
        _ => date(condition)
            .is_some_and(|condition| date_is_strong && answer.get(LAST_MODIFIED).and_then(date) == Some(condition)),
    }
}

/// The entity tags of a list, `W/` included, up to the first that is invalid (§8.8.3). A tag may have commas in it.
fn tags(mut list: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let start = list.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
        let rest = list.get(start..)?;
        let opaque = rest.strip_prefix(b"W/").unwrap_or(rest).strip_prefix(b"\"")?;
        let quotes = rest.len() - opaque.len() + 1;
        let end = quotes + opaque.iter().position(|byte| *byte == b'"')?;
        let (tag, rest) = rest.split_at_checked(end)?;
        list = rest;
        Some(tag)
    })
}

/// §8.8.3.2.
fn is_same_strong(a: &[u8], b: &[u8]) -> bool {
    a == b && a.starts_with(b"\"")
}

/// §8.8.3.2.
fn is_same_weak(a: &[u8], b: &[u8]) -> bool {
    a.strip_prefix(b"W/").unwrap_or(a) == b.strip_prefix(b"W/").unwrap_or(b)
}

/// The part of the file that a `Range` field asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// All of it. Also for a field that is not understood and so ignored (§14.2).
    Whole,
    Part(Range<u64>),
    Nothing,
}

/// §14.1.2. Several ranges are answered with the whole file, which a server may always do. That costs the client some bytes.
/// Many small overlapping ranges would cost the server far more (§17.15).
fn wanted(value: &HeaderValue, length: u64) -> Wanted {
    let range = || {
        let (unit, range) = value.to_str().ok()?.split_once('=')?;
        let (first, last) = range.trim().split_once('-')?;
        let bound = |text: &str| if text.is_empty() { Some(None) } else { number(text).map(Some) };
        unit.eq_ignore_ascii_case("bytes").then_some((bound(first)?, bound(last)?))
    };
    match range() {
        // Some clients put `bytes=0-` on every request, and an empty file has no parts.
        _ if length == 0 => Wanted::Whole,
        None | Some((None, None)) => Wanted::Whole,
        Some((Some(first), Some(last))) if last < first => Wanted::Whole,
        Some((None, Some(0))) => Wanted::Nothing,
        Some((None, Some(suffix))) => Wanted::Part(length.saturating_sub(suffix)..length),
        Some((Some(first), _)) if first >= length => Wanted::Nothing,
        Some((Some(first), last)) => {
            Wanted::Part(first..last.map_or(length, |last| length.min(last.saturating_add(1))))
        }
    }
}

/// Digits. A number too large for any file is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// §5.6.7, in whole seconds.
fn date(value: &HeaderValue) -> Option<Duration> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()?.duration_since(UNIX_EPOCH).ok()
}

/// The field's value. None if it appears twice, which has no meaning.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Removes the script's validators and freshness: they are the file's, and this response is not the file.
fn refused(status: StatusCode, answer: &mut HeaderMap) -> Plan {
    answer.insert(CONTENT_LENGTH, 0.into());
    without_content(status, answer, &[CACHE_CONTROL, ETAG, EXPIRES, LAST_MODIFIED])
}

fn without_content(status: StatusCode, answer: &mut HeaderMap, others: &[HeaderName]) -> Plan {
    for name in [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE].iter().chain(others) {
        answer.remove(name);
    }
    Plan { status, part: 0..0 }
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits, letters and punctuation")
}
