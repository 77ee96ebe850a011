//! `application/x-www-form-urlencoded`, and percent-encoding in general.

use std::fmt::Write as _;

/// The decoded value of the first of these `NAME=VALUE` pairs that has this name.
pub fn value_of<'a>(mut pairs: impl Iterator<Item = &'a str>, name: &str) -> Option<String> {
    pairs.find_map(|pair| {
        let (found, value) = pair.split_once('=')?;
        (decode(found) == name).then(|| decode(value))
    })
}

pub fn encode(text: &str) -> String {
    percent_encode(text, b"*-._ ").replace(' ', "+")
}

pub fn encode_path(path: &str) -> String {
    percent_encode(path, b"-._~/")
}

fn percent_encode(text: &str, keep: &[u8]) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || keep.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes everything");
        }
    }
    encoded
}

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
