//! The forms of the log.

use serde_json::Value;

use super::{configured, serve};
use crate::process::Serving;

fn logging(form: &str) -> Serving {
    let dir = configured(&format!(
        "[server]\nlisten = ['127.0.0.1:0']\naccess_log = '{form}'\n[engine]\nCACHE\n[[site]]\nname = 's'\n\
         package = GUEST(hello)\n[[site]]\npath = '/trap'\npackage = GUEST(trap)\n"
    ));
    serve(dir.path(), &[])
}

fn ask(serving: &Serving, target: &str) {
    let fields = "Host: h:1\r\nUser-Agent: a \"b\\\r\nReferer: http://r/\u{1b}\r\nX-Request-Id: i\r\nConnection: close";
    let response = serving.ask(&format!("GET {target} HTTP/1.1\r\n{}\r\n\r\n", fields.replace('\u{1b}', "\u{9b}")));
    assert!(response.starts_with("HTTP/1.1 "), "{response}");
}

#[test]
fn json_has_an_object_for_each_line() {
    let serving = logging("json");
    ask(&serving, "/x?y");
    let line = serving.line("wcgi::access");
    let object: Value = serde_json::from_str(&line).unwrap();
    for (key, value) in [
        ("level", "INFO".into()),
        ("target", "wcgi::access".into()),
        ("site", "s".into()),
        ("request_id", "i".into()),
        ("method", "GET".into()),
        ("path", "/x?y".into()),
        ("status", 200.into()),
        ("host", "h:1".into()),
        ("protocol", "HTTP/1.1".into()),
        ("user_agent", "a \"b\\".into()),
        ("referer", Value::from("http://r/\u{9b}")),
    ] {
        assert_eq!(object[key], value, "{key}: {line}");
    }
    assert!(object["bytes"].as_u64().unwrap() > 0 && object["duration_ms"].as_f64().unwrap() > 0.0, "{line}");
    assert!(object["remote"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert!(object["time"].as_str().unwrap().ends_with('Z') && object["message"].is_string(), "{line}");
    assert!(!line.contains(char::is_control), "{line:?}");
    ask(&serving, "/trap");
    let line = serving.line("trap");
    let object: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&object["level"], &object["request_id"]), (&"WARN".into(), &"i".into()), "{line}");
}

#[test]
fn combined_is_what_other_servers_write() {
    let serving = logging("combined");
    ask(&serving, "/x?\\y");
    let line = serving.line("GET /x");
    let (before, rest) = line.split_once(" [").unwrap();
    let (time, rest) = rest.split_once("] ").unwrap();
    assert_eq!(before, "127.0.0.1 - -");
    assert_eq!(time.len(), "06/Nov/1994:08:49:37 +0000".len(), "{line}");
    let (asked, rest) = rest.split_once("\" ").unwrap();
    assert_eq!(asked, "\"GET /x?\\\\y HTTP/1.1");
    assert!(rest.starts_with("200 ") && rest.ends_with(" \"http://r/\\u009b\" \"a \\\"b\\\\\""), "{line}");
}

#[test]
fn off_keeps_warnings_and_no_access_line() {
    let serving = logging("off");
    ask(&serving, "/x");
    ask(&serving, "/trap");
    let before = serving.lines_until("the script trapped");
    assert!(!before.iter().any(|line| line.contains("GET")), "{before:?}");
}
