//! That a head is the same however the script's output is cut into chunks, for generated outputs.

use bytes::Bytes;
use proptest::prelude::*;

use super::Head;
use super::tests_response::feed;
use crate::error::{Error, ErrorKind};

/// What two feedings must agree on.
fn outcome(result: Result<(Head, Bytes), Error>) -> Result<(String, Bytes), ErrorKind> {
    result.map(|(head, rest)| (format!("{head:?}"), rest)).map_err(|error| error.kind())
}

fn in_chunks(output: &[u8], cuts: &[prop::sample::Index]) -> Result<(String, Bytes), ErrorKind> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(output.len() + 1)).chain([0, output.len()]).collect();
    cuts.sort_unstable();
    outcome(feed(cuts.windows(2).map(|pair| &output[pair[0]..pair[1]])))
}

/// Mostly heads, some of them broken.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        8 => prop::sample::select(GOOD_LINES).prop_map(Vec::from),
        1 => prop::sample::select(BAD_LINES).prop_map(Vec::from),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    let line = (line, any::<bool>()).prop_map(|(line, cr)| [&*line, if cr { b"\r\n" } else { b"\n" }].concat());
    let head = prop::collection::vec(line, 0..6);
    let blank = prop::sample::select(&["\n", "\r\n", ""][..]);
    let body = prop::collection::vec(any::<u8>(), 0..16);
    (head, blank, body).prop_map(|(lines, blank, body)| [&*lines.concat(), blank.as_bytes(), &*body].concat())
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..12)
}

const GOOD_LINES: &[&str] = &[
    "Content-Type: text/html",
    "Status: 404 Not Found",
    "Location: /x",
    "Location: http://a/",
    "Set-Cookie: a=1",
    "X: \t y ",
    "Content-Length: 5",
    "Connection: X",
    "Transfer-Encoding: chunked",
    "Empty:",
];

const BAD_LINES: &[&str] =
    &["Status: 999", "no colon", " folded", "X : y", "a\rb: c", "X: \0", "", "\r", "Content-Length: 6"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn every_chunking_gives_the_same_result(output in output(), cuts in cuts()) {
        let whole = outcome(feed([&*output]));
        prop_assert_eq!(&in_chunks(&output, &cuts), &whole);
        prop_assert_eq!(&outcome(feed(output.chunks(1))), &whole);
    }

    #[test]
    fn any_bytes_are_a_head_or_an_error(output in prop::collection::vec(any::<u8>(), 0..256), cuts in cuts()) {
        prop_assert_eq!(in_chunks(&output, &cuts), outcome(feed([&*output])));
    }

    #[test]
    fn a_head_has_nothing_that_frames(output in output()) {
        if let Ok((Head::Response(head), _)) = feed([&*output]) {
            for name in ["status", "content-length", "transfer-encoding", "connection", "upgrade", "trailer", "te"] {
                prop_assert!(!head.headers.contains_key(name));
            }
            prop_assert!((200..600).contains(&head.status.as_u16()));
        }
    }
}
