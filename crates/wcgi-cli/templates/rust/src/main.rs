//! A CGI program (RFC 3875): the request is in the environment and on stdin, the response goes to stdout.

use std::env;

fn main() {
    let query = env::var("QUERY_STRING").unwrap_or_default();
    let name = query.split('&').find_map(|pair| pair.strip_prefix("name=")).map(decode);
    let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| "World".to_owned());

    print!("Content-Type: text/html; charset=utf-8\r\n\r\n");
    println!("<!doctype html>\n<title>{{name}}</title>\n<h1>Hello, {}!</h1>", escape(&name));
}

/// Undoes the encoding of forms and queries.
fn decode(text: &str) -> String {
    let mut bytes = text.as_bytes();
    let mut decoded = Vec::new();
    while let Some((&first, after_first)) = bytes.split_first() {
        let as_it_is = (if first == b'+' { b' ' } else { first }, after_first);
        let (byte, rest) = decode_escape(bytes).unwrap_or(as_it_is);
        decoded.push(byte);
        bytes = rest;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The byte that `%XX` at the beginning stands for, and the rest.
fn decode_escape(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, rest @ ..] = bytes else { return None };
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    Some(((digit(high)? << 4 | digit(low)?) as u8, rest))
}

/// Makes text safe to stand in HTML.
fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}
