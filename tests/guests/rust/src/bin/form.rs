//! form: reads CONTENT_LENGTH bytes of application/x-www-form-urlencoded and answers its pairs as a JSON array of
//! `[name, value]`, in their order. Another method answers 405, another content type 415.

use std::env;
use std::io::{self, Read as _};

fn main() -> io::Result<()> {
    if env::var("REQUEST_METHOD").as_deref() != Ok("POST") {
        return refuse("405 Method Not Allowed");
    }
    let content_type = env::var("CONTENT_TYPE").unwrap_or_default();
    if content_type.split(';').next() != Some("application/x-www-form-urlencoded") {
        return refuse("415 Unsupported Media Type");
    }
    let length = env::var("CONTENT_LENGTH").ok().and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    io::stdin().read_exact(&mut body)?;

    let pairs: Vec<String> = body
        .split(|&byte| byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut parts = pair.splitn(2, |&byte| byte == b'=');
            let name = parts.next().unwrap_or_default();
            let value = parts.next().unwrap_or_default();
            format!("[{},{}]", json(&decode(name)), json(&decode(value)))
        })
        .collect();
    print!("Content-Type: application/json\r\n\r\n[{}]\n", pairs.join(","));
    Ok(())
}

fn refuse(status: &str) -> io::Result<()> {
    print!("Status: {status}\r\nContent-Type: text/plain\r\n\r\n{status}\n");
    Ok(())
}

fn decode(encoded: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (&byte, _) => bytes.push(byte),
        }
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn json(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
