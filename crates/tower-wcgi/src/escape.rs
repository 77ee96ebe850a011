//! Text of scripts and clients, for the log.
//!
//! In: any text. Out: the same without control characters. So it neither forges lines nor controls a terminal, whatever the
//! subscriber does with it. It must not know where the text is from.

use std::fmt::{self, Display, Write as _};

/// One line: a control character is shown as `\u001b` and the like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a>(pub(crate) &'a str);

/// Several lines. Their ends stay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines<'a>(pub(crate) &'a str);

/// The beginning of a line that may not be text, in quotes. Quotes and backslashes in it are escaped too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quoted<'a> {
    pub(crate) line: &'a [u8],
    /// The most bytes of it that are shown. A longer line ends in `…`.
    pub(crate) most: usize,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((plain, c, after)) = split_at_control(rest) {
            f.write_str(plain)?;
            write!(f, "\\u{:04x}", u32::from(c))?;
            rest = after;
        }
        f.write_str(rest)
    }
}

impl Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in self.0.split('\n').enumerate() {
            if at > 0 {
                f.write_char('\n')?;
            }
            Line(line).fmt(f)?;
        }
        Ok(())
    }
}

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.line.get(..self.most).unwrap_or(self.line);
        f.write_char('"')?;
        for chunk in shown.utf8_chunks() {
            for piece in chunk.valid().split_inclusive(['"', '\\']) {
                match piece.strip_suffix(['"', '\\']) {
                    Some(plain) => write!(f, "{}\\{}", Line(plain), piece.trim_start_matches(plain))?,
                    None => Line(piece).fmt(f)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_str(if shown.len() < self.line.len() { "…\"" } else { "\"" })
    }
}

fn split_at_control(text: &str) -> Option<(&str, char, &str)> {
    let (plain, rest) = text.split_at_checked(text.find(is_control)?)?;
    let mut rest = rest.chars();
    let c = rest.next()?;
    Some((plain, c, rest.as_str()))
}

/// Also Unicode's ends of lines and changes of direction.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_control_characters() {
        for (text, shown) in [
            ("plain: ä €", "plain: ä €"),
            ("a\0b\x1b[31mc\r", "a\\u0000b\\u001b[31mc\\u000d"),
            ("one\ntwo\t\x7f\u{9b}2J", "one\\u000atwo\\u0009\\u007f\\u009b2J"),
            ("\u{2028}\u{202e}\u{2066}", "\\u2028\\u202e\\u2066"),
            ("", ""),
        ] {
            assert_eq!(Line(text).to_string(), shown);
        }
    }

    #[test]
    fn lines_keep_their_ends_alone() {
        assert_eq!(Lines("a\x1b\nb\r\n\n").to_string(), "a\\u001b\nb\\u000d\n\n");
    }

    #[test]
    fn what_is_quoted_is_cut_and_shows_bytes_that_are_no_text() {
        let quoted = |line, most| Quoted { line, most }.to_string();
        assert_eq!(quoted(b"<b>\"x\\\"</b>\r", 200), r#""<b>\"x\\\"</b>\u000d""#);
        assert_eq!(quoted(b"\xffa\0", 200), "\"\\xffa\\u0000\"");
        assert_eq!(quoted("€uro".as_bytes(), 4), "\"€u…\"");
        assert_eq!(quoted("€uro".as_bytes(), 2), "\"\\xe2\\x82…\"");
        assert_eq!(quoted(b"\"\"\"", 3), r#""\"\"\"""#);
    }
}
