//! Control characters in a line of the log become `\u001b` and the like. So the text of a client or a script neither forges
//! lines nor controls a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with escapes in place of control characters, except at the ends of its lines. With `colors` the sequences that set a
/// color stay: `tracing-subscriber` has already escaped those of other texts.
pub(super) fn escape(text: &str, colors: bool) -> Cow<'_, str> {
    if !text.trim_end_matches('\n').contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    let ends = text.trim_end_matches('\n').len();
    for (at, c) in text.char_indices() {
        let stays = !is_control(c) || at >= ends || colors && text.get(at..).is_some_and(is_color);
        if stays {
            escaped.push(c);
        } else {
            // As in JSON.
            write!(escaped, "\\u{:04x}", u32::from(c)).expect("a String takes everything");
        }
    }
    Cow::Owned(escaped)
}

/// Also Unicode's ends of lines and changes of direction.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether it begins with `ESC [ … m`.
fn is_color(text: &str) -> bool {
    text.strip_prefix("\x1b[")
        .is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_end_of_the_line_controls_anything() {
        for (text, escaped) in [
            ("plain: ä €\n", "plain: ä €\n"),
            ("a\0b\x1b[31mc\r\n", "a\\u0000b\\u001b[31mc\\u000d\n"),
            ("one\n2026-01-01T00:00:00Z ERROR two\n", "one\\u000a2026-01-01T00:00:00Z ERROR two\n"),
            ("\t\x7f\u{9b}2J\u{2028}\u{202e}\n", "\\u0009\\u007f\\u009b2J\\u2028\\u202e\n"),
            ("no end\x08", "no end\\u0008"),
        ] {
            assert_eq!(escape(text, false), escaped);
        }
    }

    #[test]
    fn colors_stay_where_they_are_wanted() {
        let line = "\x1b[2mtime\x1b[0m \x1b[38;5;1mx\x1b[2J\x1b]0;title\x07\x1b\n";
        assert_eq!(escape(line, true), "\x1b[2mtime\x1b[0m \x1b[38;5;1mx\\u001b[2J\\u001b]0;title\\u0007\\u001b\n");
        assert!(!escape(line, false).contains('\x1b'));
    }
}
