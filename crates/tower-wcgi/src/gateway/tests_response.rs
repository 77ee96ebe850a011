//! The rows of the contract's table of response heads, and the CVE cases that belong to it.

use bytes::Bytes;
use http::StatusCode;

use super::{Head, HeadParser, Progress, ResponseHead};
use crate::error::{Error, ErrorKind};

/// Feeds `chunks`, and ends the script after them.
pub(super) fn feed<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<(Head, Bytes), Error> {
    let mut parser = HeadParser::new();
    let mut chunks = chunks.into_iter();
    while let Some(chunk) = chunks.next() {
        if let Progress::Head { head, rest } = parser.feed(Bytes::copy_from_slice(chunk))? {
            let rest = chunks.fold(rest.to_vec(), |rest, chunk| [&rest, chunk].concat());
            return Ok((head, rest.into()));
        }
    }
    Err(parser.end())
}

#[track_caller]
fn response(output: &str) -> (ResponseHead, Bytes) {
    match feed([output.as_bytes()]) {
        Ok((Head::Response(head), rest)) => (head, rest),
        other => panic!("{output:?} gave {other:?}"),
    }
}

#[track_caller]
fn expect_malformed(output: impl AsRef<[u8]>) {
    let output = output.as_ref();
    let error = feed([output]).map(|_| String::from_utf8_lossy(output)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedResponse, "{error}");
    let error = feed(output.chunks(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedResponse, "{error}");
}

#[test]
fn content_type_and_body_is_a_200_document() {
    let (head, rest) = response("Content-Type: text/html\n\n<p>\n\nbody");
    assert_eq!((head.status, head.has_body, head.content_length), (StatusCode::OK, true, None));
    assert_eq!(head.headers["content-type"], "text/html");
    assert_eq!(rest, "<p>\n\nbody");
}

#[test]
fn status_is_as_said() {
    for (field, code) in [
        ("404 Not Found", 404),
        ("404", 404),
        ("200 ", 200),
        ("599 Anything: goes", 599),
        ("302\tFound", 302),
        ("  418  ", 418),
    ] {
        let (head, _) = response(&format!("Status: {field}\n\n"));
        assert_eq!((head.status.as_u16(), head.has_body), (code, true), "{field:?}");
        assert!(head.headers.is_empty(), "Status is consumed");
    }
    assert_eq!(response("sTaTuS: 404 Not Found\nContent-Type: a/b\n\n").0.status, StatusCode::NOT_FOUND);
}

#[test]
fn an_invalid_or_second_status_is_malformed() {
    for field in [
        "",
        "OK",
        "20",
        "2000",
        "200OK",
        "-20",
        "+20",
        " ",
        "0x1",
        "099",
        "100 Continue",
        "101 Switching Protocols",
        "199",
        "600",
        "999",
        "HTTP/1.1 200 OK",
        "2 0 0",
        "200\x0b",
        "２００",
    ] {
        expect_malformed(format!("Status: {field}\nContent-Type: a/b\n\n"));
    }
    expect_malformed("Status: 200\nStatus: 200\n\n");
    expect_malformed("Status: 200\nContent-Type: a/b\nstatus: 404\n\n");
}

#[test]
fn location_with_absolute_uri_alone_is_302_with_an_empty_body() {
    for location in
        ["http://a.example/x", "https://a.example", "mailto:a@example", "//host/x", "/x#part", "relative", "?query"]
    {
        let (head, _) = response(&format!("Location: {location}\nContent-Length: 5\n\nbody!"));
        assert_eq!((head.status, head.has_body, head.content_length), (StatusCode::FOUND, false, None), "{location}");
        assert_eq!(head.headers["location"], location);
    }
}

#[test]
fn location_with_status_or_body_is_as_said() {
    for (output, status, has_body) in [
        ("Location: http://a/\nStatus: 301 Moved\n\n", 301, true),
        ("Location: /x\nStatus: 302 Found\n\n", 302, true),
        ("Location: /x\nStatus: 201 Created\nContent-Type: a/b\n\n", 201, true),
        ("Status: 200\nLocation: /x\n\n", 200, true),
        ("Location: http://a/\nContent-Type: a/b\n\n", 302, true),
        ("Content-Type: a/b\nLocation: /x\n\n", 302, true),
        ("Location: //host/x\nContent-Type: a/b\n\n", 302, true),
        ("Location: /x\nStatus: 304\n\n", 304, false),
    ] {
        let (head, _) = response(output);
        assert_eq!((head.status.as_u16(), head.has_body), (status, has_body), "{output:?}");
        assert!(head.headers.contains_key("location"), "{output:?}");
    }
}

#[test]
fn location_with_path_alone_is_a_local_redirect() {
    for (output, path) in [
        ("Location: /x\n\n", "/x"),
        ("location:/x?a=b&c=%20\r\n\r\n", "/x?a=b&c=%20"),
        ("Location: /\n\nbody", "/"),
        ("Location: /x//y\n\n", "/x//y"),
        ("Location: /ü\n\n", "/ü"),
        // What is dropped anyway does not change the kind.
        ("Location: /x\nConnection: close, x-gone\nX-Gone: 1\nContent-Length: 0\n\n", "/x"),
    ] {
        let (head, _) = feed([output.as_bytes()]).unwrap();
        assert!(matches!(&head, Head::LocalRedirect(to) if to == path), "{output:?} gave {head:?}");
    }
}

#[test]
fn location_with_path_and_other_fields_reaches_the_client() {
    let (head, _) = response("Location: /home\nSet-Cookie: session=1\n\n");
    assert_eq!((head.status, head.has_body), (StatusCode::FOUND, false));
    assert_eq!(
        (&head.headers["location"], &head.headers["set-cookie"]),
        (&"/home".parse().unwrap(), &"session=1".parse().unwrap())
    );
}

/// CVE-2024-38473, CVE-2024-38476: what names a host is no path.
#[test]
fn cve_2024_38476_a_host_is_no_local_redirect() {
    for location in ["//host", "//host/x", "///x", "//"] {
        let (head, _) = response(&format!("Location: {location}\n\n"));
        assert_eq!(head.headers["location"], location);
    }
}

#[test]
fn an_empty_second_or_undecodable_local_location_is_malformed() {
    expect_malformed("Location:\n\n");
    expect_malformed("Location: \nContent-Type: a/b\n\n");
    expect_malformed("Location: /a\nLocation: /a\n\n");
    expect_malformed("Location: http://a/\nX: y\nlocation: http://b/\n\n");
    expect_malformed(b"Location: /\xff\n\n");
}

#[test]
fn a_second_content_type_is_malformed() {
    expect_malformed("Content-Type: a/b\ncontent-type: a/b\n\n");
}

#[test]
fn any_repeated_field_is_kept() {
    let (head, _) = response("Content-Type: a/b\nSet-Cookie: a=1\nX: 1\nset-cookie: b=2\nx: 2\nX-Sendfile: /a\n\n");
    let all = |name| head.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!((all("set-cookie"), all("x"), all("x-sendfile")), (vec!["a=1", "b=2"], vec!["1", "2"], vec!["/a"]));
}

#[test]
fn field_values_pass_byte_for_byte_without_surrounding_space() {
    let (head, _) = feed([b"Content-Type: a/b\nX: \t\xff \xfe\t \nEmpty:\n\n".as_slice()]).unwrap();
    let Head::Response(head) = head else { panic!("{head:?}") };
    assert_eq!(
        (head.headers["x"].as_bytes(), head.headers["empty"].as_bytes()),
        (b"\xff \xfe".as_slice(), b"".as_slice())
    );
}

#[test]
fn line_ends_are_lf_or_crlf_or_both() {
    for end in ["\n\n", "\r\n\r\n", "\n\r\n", "\r\n\n"] {
        let (head, rest) = response(&format!("Status: 200\r\nX: 1\nContent-Type: a/b{end}\r\nbody"));
        assert_eq!((head.headers.len(), &*rest), (2, b"\r\nbody".as_slice()), "{end:?}");
    }
}

#[test]
fn no_blank_line_or_no_head_is_malformed() {
    for output in [
        "\n",
        "\r\n",
        "\nContent-Type: a/b\n\n",
        "\r\n\r\n",
        "\n\n",
        "Content-Type: a/b",
        "Content-Type: a/b\n",
        "a",
        "\r",
    ] {
        expect_malformed(output);
    }
}

#[test]
fn empty_output_is_no_response() {
    assert_eq!(feed([]).unwrap_err().kind(), ErrorKind::NoResponse);
    assert_eq!(feed([b"".as_slice(), b""]).unwrap_err().kind(), ErrorKind::NoResponse);
}

#[test]
fn malformed_lines_are_malformed() {
    for line in [
        "no colon",
        "HTTP/1.1 200 OK",
        "<html>",
        ": no name",
        "X : space before colon",
        "X\t: tab",
        "X: a\rb",
        "X: a\r\r",
        "X\r: a",
        "\rX: a",
        "X: a\0b",
        "X\0: a",
        "X: folded\n line",
        "X: folded\n\tline",
        "X:\n line",
        " X: leading",
        "\tX: leading",
        "(X): token",
        "X Y: token",
        "Ü: token",
        "X: a\x01",
        "X: a\x7f",
        "X: \x0b",
        "X: a\x08",
        "{X}: a",
        "\"X\": a",
        "X@Y: a",
        "X/Y: a",
        "X=Y: a",
        "[X]: a",
        "\x7f: a",
    ] {
        expect_malformed(format!("Content-Type: a/b\n{line}\n\nbody"));
        expect_malformed(format!("{line}\nContent-Type: a/b\n\nbody"));
        expect_malformed(format!("Content-Type: a/b\r\n{line}\r\n\r\nbody"));
    }
}

#[test]
fn a_head_over_the_limit_is_malformed() {
    let head_of = |length: usize| {
        let start = "Content-Type: a/b\nX: ";
        format!("{start}{}\n\n", "v".repeat(length - start.len() - 2))
    };
    response(&(head_of(64 * 1024) + "body"));
    feed(head_of(64 * 1024).as_bytes().chunks(1000)).unwrap();
    expect_malformed(head_of(64 * 1024 + 1));

    // Also while the end has not been seen.
    let mut parser = HeadParser::new();
    let endless = Bytes::from_static(&[b'v'; 4096]);
    for _ in 0..15 {
        assert!(matches!(parser.feed(endless.clone()), Ok(Progress::More)));
    }
    assert_eq!(parser.feed(endless).unwrap_err().kind(), ErrorKind::MalformedResponse);
}

#[test]
fn fields_over_the_limit_are_malformed() {
    let fields = |count: usize| format!("Content-Type: a/b\n{}\n", "X: 1\n".repeat(count - 1));
    assert_eq!(response(&fields(128)).0.headers.len(), 128);
    expect_malformed(fields(129));
}

#[test]
fn without_a_cgi_field_it_is_malformed() {
    expect_malformed("X-Powered-By: CGI\n\nbody");
    expect_malformed("Content-Length: 4\n\nbody");
    expect_malformed("Set-Cookie: a=1\nConnection: close\n\n");
}

#[test]
fn hop_by_hop_fields_are_dropped() {
    let (head, _) = response(
        "Content-Type: a/b\nConnection: close, X-Gone\nconnection: x-Two\nX-Gone: 1\nX-Gone: 2\nX-Two: 1\n\
         Keep-Alive: 1\nProxy-Connection: close\nTE: trailers\nTrailer: X\nTransfer-Encoding: chunked\nUpgrade: h2c\n\
         X-Kept: 1\n\n",
    );
    let names: Vec<_> = head.headers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["content-type", "x-kept"]);
}

#[test]
fn content_length_is_kept_apart() {
    for (fields, length) in [
        ("Content-Length: 5", 5),
        ("Content-Length: 0", 0),
        ("Content-Length: 005", 5),
        ("Content-Length: 5\ncontent-length: 5", 5),
        ("Content-Length: 5, 5 ,5", 5),
        ("Content-Length: 18446744073709551615", u64::MAX),
    ] {
        let (head, _) = response(&format!("Content-Type: a/b\n{fields}\n\nbody"));
        assert_eq!((head.content_length, head.headers.len()), (Some(length), 1), "{fields}");
    }
    for fields in [
        "Content-Length: 5\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: 5,",
        "Content-Length: ,",
        "Content-Length:",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 5 5",
        "Content-Length: 0x5",
        "Content-Length: 5.0",
        "Content-Length: 18446744073709551616",
        "Content-Length: ５",
        "Content-Length: 5\nContent-Length: x",
    ] {
        expect_malformed(format!("Content-Type: a/b\n{fields}\n\nbody"));
    }
}

#[test]
fn no_body_with_204_205_and_304() {
    for (status, length) in [(204, None), (205, None), (304, Some(5))] {
        let (head, _) = response(&format!("Status: {status}\nContent-Type: a/b\nContent-Length: 5\n\nbody!"));
        assert_eq!((head.status.as_u16(), head.has_body, head.content_length), (status, false, length));
    }
}

/// CVE-2024-42516, CVE-2023-38709: no value of one field becomes another field.
#[test]
fn cve_2024_42516_response_splitting() {
    for value in ["a\rSet-Cookie: evil=1", "a\r\r\nX: y", "a\0\nX: y", "a\r\n\tfolded", "a\x0bSet-Cookie: b"] {
        expect_malformed(format!("Content-Type: {value}\n\nbody"));
        expect_malformed(format!("Location: http://a/{value}\n\nbody"));
    }
}

/// CVE-2024-24795: a script cannot say how its body is framed.
#[test]
fn cve_2024_24795_framing_is_not_the_scripts() {
    let (head, _) = response("Content-Type: a/b\nTransfer-Encoding: chunked\nContent-Length: 4\n\n0\r\n\r\n");
    assert_eq!((head.headers.len(), head.content_length), (1, Some(4)));
    expect_malformed("Content-Type: a/b\nTransfer-Encoding : chunked\n\n");
}

#[test]
fn a_head_in_one_chunk_shares_its_memory() {
    let chunk = Bytes::from_static(b"Content-Type: a/b\n\nbody");
    let expected = chunk.slice(19..);
    let Progress::Head { rest, .. } = HeadParser::new().feed(chunk).unwrap() else { panic!("the head is whole") };
    assert_eq!((rest.as_ptr(), rest.len()), (expected.as_ptr(), 4));
}

#[test]
fn the_line_that_is_malformed_is_quoted_and_cut() {
    let (cut, rest) = (format!("<p>{}", "x".repeat(197)), "x".repeat(103));
    for (output, line) in [
        ("Status: 200\n<b>Warning</b>: no \"x\"\n\nbody", r#""<b>Warning</b>: no \"x\"""#),
        ("Content-Type: a/b\r\nBad Name: x\r\n\r\n", r#""Bad Name: x""#),
        ("A: b\n folded\n\n", r#"" folded""#),
        ("A: b\rStatus: 200\n\n", r#""A: b\u000dStatus: 200""#),
        ("A: b\0\x1b[2J\n\n", r#""A: b\u0000\u001b[2J""#),
        ("Content-Type: a/b\nStatus: 2000\n\n", r#""Status: 2000""#),
        ("Status: 200\nX: y\nStatus: 201\n\n", r#""Status: 201""#),
        ("Content-Length: 1\nContent-Length: 2\n\n", r#""Content-Length: 2""#),
        ("X-Only: this\n\n", r#""X-Only: this""#),
        ("Hello, World!\nno head", r#""Hello, World!""#),
        (&format!("A: b\n{cut}{rest}\n\n"), &format!("\"{cut}…\"")),
        (&"y".repeat(70_000), &format!("\"{}…\"", "y".repeat(200))),
    ] {
        for chunk in [output.len(), 1, 7] {
            let error = feed(output.as_bytes().chunks(chunk)).unwrap_err().to_string();
            assert!(error.ends_with(&format!(": {line}")), "{error}");
        }
    }
    let empty = feed([&b"\n"[..]]).unwrap_err().to_string();
    assert!(empty.ends_with("nor Status"), "{empty}");
}
