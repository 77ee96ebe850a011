//! Requests for a file of 1,000 bytes, changed at a known time, and what each is answered.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::plan::{Plan, plan};
use crate::tree::Facts;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn facts() -> Facts {
    let modified = UNIX_EPOCH + Duration::new(784_111_777, 500);
    let now = modified + Duration::from_secs(3600);
    Facts { length: 1000, modified: Some(modified), changed: Some(modified), inode: 7, now, coding: "" }
}

fn fields(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn ask(method: &Method, asked: &[(&str, &str)], script: &[(&str, &str)]) -> (Plan, HeaderMap) {
    let mut answer = fields(script);
    let plan = plan(method, &fields(asked), StatusCode::OK, &facts(), &mut answer);
    (plan, answer)
}

#[test]
fn a_file_is_answered_with_its_validators() {
    let (plan, answer) = ask(&Method::GET, &[], &[("content-type", "text/plain")]);
    assert_eq!(plan, Plan { status: StatusCode::OK, part: 0..1000 });
    assert!(answer["etag"].to_str().unwrap().starts_with("\"3e8-"), "{answer:?}");
    assert_eq!(
        answer,
        fields(&[
            ("content-type", "text/plain"),
            ("content-length", "1000"),
            ("accept-ranges", "bytes"),
            ("etag", answer["etag"].to_str().unwrap()),
            ("last-modified", DATE),
        ])
    );
}

#[test]
fn ranges() {
    for (range, expected) in [
        ("bytes=0-0", Some("0-0")),
        ("bytes=0-", Some("0-999")),
        ("bytes=10-19", Some("10-19")),
        ("bytes=999-", Some("999-999")),
        ("bytes=990-5000", Some("990-999")),
        ("bytes=5-99999999999999999999999", Some("5-999")),
        ("bytes=-1", Some("999-999")),
        ("bytes=-1000", Some("0-999")),
        ("bytes=-5000", Some("0-999")),
        ("Bytes=0-1", Some("0-1")),
        ("bytes= 0-1", Some("0-1")),
        // Several, malformed, or of another unit: ignored.
        ("bytes=0-1,5-6", None),
        ("bytes=0-0,-1", None),
        ("bytes=0-1,", None),
        ("bytes=9-5", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes", None),
        ("", None),
        ("bytes=a-b", None),
        ("bytes=+1-2", None),
        ("bytes=1-2-3", None),
        ("bytes=--1", None),
        ("bytes=0x1-2", None),
        ("bytes 0-1", None),
        ("items=0-1", None),
    ] {
        let (plan, answer) = ask(&Method::GET, &[("range", range)], &[]);
        match expected {
            None => {
                assert_eq!(plan, Plan { status: StatusCode::OK, part: 0..1000 }, "{range}");
                assert!(!answer.contains_key("content-range"));
                assert_eq!(answer["content-length"], "1000");
            }
            Some(part) => {
                let (first, last) = part.split_once('-').unwrap();
                let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
                assert_eq!(plan, Plan { status: StatusCode::PARTIAL_CONTENT, part: first..last + 1 }, "{range}");
                assert_eq!(answer["content-range"], format!("bytes {part}/1000"));
                assert_eq!(answer["content-length"], (last + 1 - first).to_string());
                assert!(answer.contains_key("etag"), "{range}");
            }
        }
    }
}

#[test]
fn ranges_of_what_is_not_there() {
    for range in ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=99999999999999999999999-"] {
        let script = [("content-type", "text/plain"), ("cache-control", "max-age=60"), ("set-cookie", "a=b")];
        let (plan, answer) = ask(&Method::GET, &[("range", range)], &script);
        assert_eq!(plan, Plan { status: StatusCode::RANGE_NOT_SATISFIABLE, part: 0..0 }, "{range}");
        // A cache must not keep it as if it were the file.
        let expected = [
            ("content-length", "0"),
            ("content-range", "bytes */1000"),
            ("accept-ranges", "bytes"),
            ("set-cookie", "a=b"),
        ];
        assert_eq!(answer, fields(&expected), "{range}");
    }
}

#[test]
fn an_empty_file_has_no_parts() {
    for range in ["bytes=0-", "bytes=5-", "bytes=-5", "bytes=-0"] {
        let facts = Facts { length: 0, ..facts() };
        let mut answer = HeaderMap::new();
        let plan = plan(&Method::GET, &fields(&[("range", range)]), StatusCode::OK, &facts, &mut answer);
        assert_eq!(plan, Plan { status: StatusCode::OK, part: 0..0 });
        assert_eq!(answer["content-length"], "0");
    }
}

#[test]
fn preconditions() {
    let (_, answer) = ask(&Method::GET, &[], &[]);
    let tag = answer["etag"].to_str().unwrap();
    let (weak, among) = (format!("W/{tag}"), format!("\"a,b\", W/\"c\" ,{tag}"));
    for (asked, expected) in [
        (vec![("if-none-match", tag)], 304),
        (vec![("if-none-match", &*weak)], 304),
        (vec![("if-none-match", &*among)], 304),
        (vec![("if-none-match", "\"a\""), ("if-none-match", tag)], 304),
        (vec![("if-none-match", "*")], 304),
        (vec![("if-none-match", "\"other\"")], 200),
        (vec![("if-none-match", "malformed")], 200),
        (vec![("if-none-match", "\"open")], 200),
        (vec![("if-none-match", "")], 200),
        // The tag counts, not the date (§13.2.2).
        (vec![("if-none-match", "\"other\""), ("if-modified-since", AFTER)], 200),
        (vec![("if-none-match", tag), ("if-modified-since", BEFORE)], 304),
        (vec![("if-modified-since", DATE)], 304),
        (vec![("if-modified-since", AFTER)], 304),
        (vec![("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT")], 304),
        (vec![("if-modified-since", BEFORE)], 200),
        (vec![("if-modified-since", "yesterday")], 200),
        (vec![("if-modified-since", DATE), ("if-modified-since", DATE)], 200),
        (vec![("if-match", tag)], 200),
        (vec![("if-match", "*")], 200),
        (vec![("if-match", &*among)], 200),
        (vec![("if-match", &*weak)], 412),
        (vec![("if-match", "\"other\"")], 412),
        (vec![("if-match", tag), ("if-none-match", tag)], 304),
        (vec![("if-match", tag), ("if-unmodified-since", BEFORE)], 200),
        (vec![("if-unmodified-since", BEFORE)], 412),
        (vec![("if-unmodified-since", DATE)], 200),
        (vec![("if-unmodified-since", "yesterday")], 200),
    ] {
        for (method, range) in [(Method::GET, false), (Method::HEAD, false), (Method::GET, true)] {
            let mut asked = asked.clone();
            if range {
                asked.push(("range", "bytes=0-9"));
            }
            let (plan, answer) = ask(&method, &asked, &[("content-type", "text/plain"), ("cache-control", "no-cache")]);
            let expected = if range && expected == 200 { 206 } else { expected };
            assert_eq!(plan.status, expected, "{method} {asked:?}");
            if plan.status == StatusCode::NOT_MODIFIED {
                assert_eq!(plan.part, 0..0);
                let expected = [("etag", tag), ("last-modified", DATE), ("cache-control", "no-cache")];
                assert_eq!(answer, fields(&expected), "{asked:?}");
            }
        }
        // What another method did is done.
        assert_eq!(ask(&Method::POST, &asked, &[]).0, Plan { status: StatusCode::OK, part: 0..1000 });
    }
}

#[test]
fn a_part_only_of_the_version_the_client_has() {
    let (_, answer) = ask(&Method::GET, &[], &[]);
    let tag = answer["etag"].to_str().unwrap();
    for (condition, expected) in [
        (tag, 206),
        (DATE, 206),
        ("\"other\"", 200),
        (&*format!("W/{tag}"), 200),
        (BEFORE, 200),
        (AFTER, 200),
        ("", 200),
        ("*", 200),
    ] {
        let (plan, _) = ask(&Method::GET, &[("range", "bytes=0-9"), ("if-range", condition)], &[]);
        assert_eq!(plan.status, expected, "{condition}");
        // Without a range it says nothing.
        assert_eq!(ask(&Method::GET, &[("if-range", condition)], &[]).0.status, 200);
    }
    let twice = [("range", "bytes=0-9"), ("if-range", tag), ("if-range", tag)];
    assert_eq!(ask(&Method::GET, &twice, &[]).0.status, 200);
    let weak = [("etag", "W/\"mine\"")];
    assert_eq!(ask(&Method::GET, &[("range", "bytes=0-9"), ("if-range", "W/\"mine\"")], &weak).0.status, 200);
}

/// In its own second: another version may have the same date, and the tag is weak.
#[test]
fn no_part_of_a_file_that_was_just_changed() {
    let now = UNIX_EPOCH + Duration::new(784_111_777, 500);
    let facts = Facts { now, ..facts() };
    let mut first = HeaderMap::new();
    plan(&Method::GET, &HeaderMap::new(), StatusCode::OK, &facts, &mut first);
    for condition in [&first["etag"], &first["last-modified"]] {
        let asked = fields(&[("range", "bytes=0-9"), ("if-range", condition.to_str().unwrap())]);
        let whole = plan(&Method::GET, &asked, StatusCode::OK, &facts, &mut HeaderMap::new());
        assert_eq!(whole, Plan { status: StatusCode::OK, part: 0..1000 }, "{condition:?}");
    }
}

#[test]
fn the_scripts_own_validators_count() {
    let script = [("etag", "\"mine\""), ("last-modified", BEFORE), ("content-range", "bytes 0-1/2")];
    let ours = ask(&Method::GET, &[], &[]).1.remove("etag").unwrap();
    let (plan, answer) = ask(&Method::GET, &[("if-none-match", ours.to_str().unwrap())], &script);
    assert_eq!(plan.status, 200);
    assert_eq!((&answer["etag"], &answer["last-modified"]), (&"\"mine\"".parse().unwrap(), &BEFORE.parse().unwrap()));
    assert!(!answer.contains_key("content-range"));
    assert_eq!(ask(&Method::GET, &[("if-none-match", "\"mine\"")], &script).0.status, 304);
    assert_eq!(ask(&Method::GET, &[("if-modified-since", BEFORE)], &script).0.status, 304);
}

#[test]
fn another_status_of_the_script_is_answered_with_the_whole_file() {
    for status in [StatusCode::CREATED, StatusCode::NOT_FOUND, StatusCode::FOUND] {
        let asked = fields(&[("range", "bytes=0-9"), ("if-none-match", "*"), ("if-match", "\"other\"")]);
        let mut answer = HeaderMap::new();
        let whole = plan(&Method::GET, &asked, status, &facts(), &mut answer);
        assert_eq!(whole, Plan { status, part: 0..1000 });
        assert_eq!(answer, fields(&[("content-length", "1000")]));
    }
}

#[test]
fn head_has_the_head_alone() {
    let (plan, answer) = ask(&Method::HEAD, &[("range", "bytes=0-9")], &[]);
    assert_eq!(plan, Plan { status: StatusCode::OK, part: 0..0 });
    assert_eq!((&answer["content-length"], &answer["accept-ranges"]), (&1000.into(), &"bytes".parse().unwrap()));
}
