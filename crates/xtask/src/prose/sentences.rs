//! The sentences of a text, with their lengths.
//!
//! In: Markdown, or Rust with doc comments in Markdown. Out: each sentence, the line it begins on and its number of words. Code
//! blocks, tables and headings have no sentences. It must not know which length is too much.

/// A sentence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sentence {
    /// The line it begins on, from 1.
    pub(super) line: usize,
    /// Code between backticks is one word.
    pub(super) words: usize,
    /// On one line, with one space between words.
    pub(super) text: String,
}

/// The sentences of a Markdown file.
pub(super) fn of_markdown(text: &str) -> Vec<Sentence> {
    let mut reader = Reader::default();
    for (number, line) in (1..).zip(text.lines()) {
        reader.line(number, line);
    }
    reader.finish()
}

/// The sentences of a Rust file's doc comments.
pub(super) fn of_rust(text: &str) -> Vec<Sentence> {
    let mut found = Vec::new();
    let mut reader = Reader::default();
    for (number, line) in (1..).zip(text.lines()) {
        match doc_comment(line) {
            Some(line) => reader.line(number, line),
            None => found.extend(std::mem::take(&mut reader).finish()),
        }
    }
    found.extend(reader.finish());
    found
}

fn doc_comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let outer = line.strip_prefix("///").filter(|text| !text.starts_with('/'));
    outer.or_else(|| line.strip_prefix("//!"))
}

/// Reads Markdown line by line.
#[derive(Debug, Default)]
struct Reader {
    found: Vec<Sentence>,
    /// The sentence that has begun.
    begun: Option<Sentence>,
    in_code_block: bool,
    /// Between backticks.
    in_code: bool,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) {
        let line = line.trim();
        if line.starts_with("```") {
            self.in_code_block = !self.in_code_block;
            self.end_block();
        } else if self.in_code_block {
            // No sentence.
        } else if line.is_empty() || line.starts_with(['|', '#']) || is_link_target(line) {
            self.end_block();
        } else if let Some(item) = list_item(line) {
            self.end_block();
            self.words(number, item);
        } else {
            self.words(number, line);
        }
    }

    fn words(&mut self, number: usize, line: &str) {
        for word in line.split_whitespace() {
            let sentence = self.begun.get_or_insert_with(|| Sentence { line: number, words: 0, text: String::new() });
            if !sentence.text.is_empty() {
                sentence.text.push(' ');
            }
            sentence.text.push_str(word);
            if !self.in_code && word.contains(char::is_alphanumeric) {
                sentence.words += 1;
            }
            if word.matches('`').count() % 2 == 1 {
                self.in_code = !self.in_code;
            }
            if !self.in_code && ends_sentence(word) {
                self.found.extend(self.begun.take());
            }
        }
    }

    /// A sentence does not go on in the next paragraph or item.
    fn end_block(&mut self) {
        self.found.extend(self.begun.take());
        self.in_code = false;
    }

    fn finish(mut self) -> Vec<Sentence> {
        self.end_block();
        self.found
    }
}

fn ends_sentence(word: &str) -> bool {
    let word = word.trim_end_matches(['"', '\'', ')', ']', '*', '_']);
    let is_abbreviation = ABBREVIATIONS.contains(&word.trim_start_matches(['(', '"']));
    word.ends_with(['.', '!', '?']) && !is_abbreviation
}

/// The text of an item of a list, without what marks it.
fn list_item(line: &str) -> Option<&str> {
    let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = (digits.len() < line.len()).then(|| digits.strip_prefix(". ")).flatten();
    numbered.or_else(|| line.strip_prefix("- ")).or_else(|| line.strip_prefix("* "))
}

/// Whether a line says where links of a name lead, as `[name]: target` does.
fn is_link_target(line: &str) -> bool {
    line.starts_with('[') && line.split_once("]: ").is_some_and(|(name, _)| !name.contains(' '))
}

const ABBREVIATIONS: [&str; 4] = ["e.g.", "i.e.", "etc.", "vs."];

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(sentences: &[Sentence]) -> Vec<(usize, usize)> {
        sentences.iter().map(|sentence| (sentence.line, sentence.words)).collect()
    }

    #[test]
    fn sentences_end_at_stops_items_and_paragraphs() {
        let text = "One two. Three\nfour five! (Six?) *Seven.*\n\n- eight nine\n- ten;\n  eleven\n1. twelve\n\nthirteen e.g. fourteen:\n";
        let expected = [(1, 2), (1, 3), (2, 1), (2, 1), (4, 2), (5, 2), (7, 1), (9, 3)];
        assert_eq!(lengths(&of_markdown(text)), expected);
    }

    #[test]
    fn code_is_one_word_and_ends_nothing() {
        let text = "Call `a. b. c` here, or `d\n. e` — [two words](https://example.org/x.y). Last `end.`";
        assert_eq!(lengths(&of_markdown(text)), [(1, 7), (2, 2)]);
    }

    #[test]
    fn tables_headings_code_blocks_and_link_targets_have_none() {
        let text =
            "# A heading. Of two.\n| a. | b. |\n```console\n$ not. this.\n```\n[name]: https://example.org/\nText.\n";
        assert_eq!(of_markdown(text), [Sentence { line: 7, words: 1, text: "Text.".to_owned() }]);
    }

    #[test]
    fn only_doc_comments_of_rust_count() {
        let text = "//! The file\n//! itself.\n\n// Not this.\n/// An item.\n//// Nor this.\nfn f() {} // nor this.\n    /// ```\n    /// code.\n    /// ```\n    /// A field";
        assert_eq!(lengths(&of_rust(text)), [(1, 3), (5, 2), (11, 2)]);
    }
}
