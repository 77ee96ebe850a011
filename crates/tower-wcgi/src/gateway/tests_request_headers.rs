//! The contract on `HTTP_*` variables: which headers pass, which never do, and the CVE cases about them.

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::is_per_request;
use super::tests_meta_variables::Case;

#[test]
fn every_other_header() {
    Case::new("/")
        .header("accept", "a;q=1")
        .header("Cookie", "a=1")
        .header("x-list", "1")
        .header("x-list", "")
        .header("cookie", "b=2")
        .header("x-list", "2, 3")
        .header("x-9", "")
        .expect(&[
            ("HTTP_ACCEPT", Some("a;q=1")),
            ("HTTP_COOKIE", Some("a=1; b=2")),
            ("HTTP_X_LIST", Some("1, , 2, 3")),
            ("HTTP_X_9", Some("")),
        ]);
    let order = Case::new("/").header("b", "").header("c", "").header("a", "").run().unwrap();
    let names: Vec<_> = order.iter().map(|(name, _)| name).filter(|name| name.starts_with("HTTP_")).collect();
    assert_eq!(names, ["HTTP_B", "HTTP_C", "HTTP_A"]);
}

#[test]
fn header_values_pass_byte_for_byte() {
    let environ = Case::new("/").header("x-bytes", b"\xff\xfe\t=").run().unwrap();
    assert_eq!(environ.get("HTTP_X_BYTES"), Some(b"\xff\xfe\t=".as_slice()));
}

#[test]
fn authorization_is_never_passed_unless_asked_for() {
    let mut case = Case::new("/").header("authorization", "Basic x").header("proxy-authorization", "Basic y");
    case.expect(&[("HTTP_AUTHORIZATION", None), ("HTTP_PROXY_AUTHORIZATION", None)]);
    case.settings.pass_authorization = true;
    case.expect(&[("HTTP_AUTHORIZATION", Some("Basic x")), ("HTTP_PROXY_AUTHORIZATION", Some("Basic y"))]);
}

#[test]
fn hop_by_hop_headers_are_never_passed() {
    let mut case = Case::new("/").header("host", "a").header("connection", "x-gone, host, Content-Type, X_Odd");
    for name in ["keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "x-gone", "expect"]
    {
        case = case.header(name, "1");
    }
    let environ = case.header("content-type", "text/plain").header("x-kept", "1").run().unwrap();
    let headers: Vec<_> = environ.iter().map(|(name, _)| name).filter(|name| name.starts_with("HTTP_")).collect();
    assert_eq!(headers, ["HTTP_HOST", "HTTP_X_KEPT"]);
    assert!(environ.contains("CONTENT_TYPE"), "it is no HTTP_ variable");
}

#[test]
fn cve_2016_5385_httpoxy() {
    let mut case = Case::new("/").header("Proxy", "http://evil.example").header("PROXY", "again");
    case.expect(&[("HTTP_PROXY", None)]);
    case.settings.pass_authorization = true;
    case.expect(&[("HTTP_PROXY", None)]);
}

#[test]
fn underscore_headers_are_never_passed() {
    let spoof = "6.6.6.6";
    let case =
        Case::new("/").header("X_Forwarded_For", spoof).header("X.Real.IP", spoof).header("x-forwarded_for", spoof);
    case.expect(&[("HTTP_X_FORWARDED_FOR", None), ("HTTP_X_REAL_IP", None), ("HTTP_X.REAL.IP", None)]);
    let case = case.header("X-Forwarded-For", "1.2.3.4").header("x!a", spoof).header("x'a", spoof).header("x~a", spoof);
    case.expect(&[("HTTP_X_FORWARDED_FOR", Some("1.2.3.4"))]);
    assert!(case.run().unwrap().iter().all(|(_, value)| value != spoof.as_bytes()));
}

/// 100,000 headers: each of these takes minutes if any step is quadratic, and milliseconds otherwise.
#[test]
fn a_hundred_thousand_headers_are_bounded_and_linear() {
    let one_name = (0..100_000).fold(Case::new("/"), |case, n| case.header("x", n.to_string()));
    assert!(one_name.run().unwrap().get("HTTP_X").unwrap().ends_with(b", 99999"));

    let mut names = (0..24_000).fold(Case::new("/"), |case, n| case.header(&format!("h-{n}"), ""));
    for constant in 0..100 {
        names = names.constant(&format!("HTTP_C_{constant}"), "");
    }
    assert_eq!(names.run().unwrap().iter().filter(|(name, _)| name.starts_with("HTTP_H_")).count(), 24_000);
    let named = (0..24_000).fold(names, |case, n| case.header("connection", format!("h-{n}")));
    assert_eq!(named.run().unwrap().iter().filter(|(name, _)| name.starts_with("HTTP_H_")).count(), 0);

    let large = (0..1024).fold(Case::new("/"), |case, n| case.header(&format!("h-{n}"), "v".repeat(1024)));
    large.expect_malformed();
    Case::new("/").header("x", "v".repeat(1024 * 1024)).expect_malformed();
}

const HEADER_NAME: &str = "(?i)(x[-_.]a|host|proxy|cookie|te|connection|[!-~]{1,6})";
const CONSTANT_NAME: &str = "HTTP_X_A|HTTP_HOST|SERVER_[A-Z]{1,8}|REMOTE_ADDR|SCRIPT_NAME|[A-Z]{1,3}";

proptest! {
    #[test]
    fn any_headers_make_an_environment_without_doubles(
        headers in prop::collection::vec((HEADER_NAME, "[\\x20-\\x7e\\x{a0}]{0,8}"), 0..16),
        constants in prop::collection::btree_set(CONSTANT_NAME, 0..8),
    ) {
        let mut case = Case::new("/a?b");
        for (name, value) in &headers {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
                case.headers.append(name, value);
            }
        }
        for name in &constants {
            case = case.constant(name, "constant");
        }
        // `run` checks that no name is there twice.
        if let Ok(environ) = case.run() {
            prop_assert!(environ.get("HTTP_PROXY").is_none());
            prop_assert_eq!(environ.block().iter().filter(|byte| **byte == 0).count(), environ.len());
            for name in constants.iter().filter(|name| !is_per_request(name)) {
                prop_assert_eq!(environ.get(name), Some(b"constant".as_slice()));
            }
        }
    }
}
