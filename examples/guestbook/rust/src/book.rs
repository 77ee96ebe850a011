//! The entries: one a line, encoded like the form they came from.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};

use crate::form;

const FILE: &str = "/data/entries";

pub struct Entry {
    pub id: usize,
    pub name: String,
    pub message: String,
}

/// All entries, the oldest first.
pub fn read() -> io::Result<Vec<Entry>> {
    let text = match fs::read_to_string(FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        result => result.map_err(|error| context("cannot read", error))?,
    };
    let entry = |(index, line): (usize, &str)| {
        let field = |name| form::value_of(line.split('&'), name).unwrap_or_default();
        Entry { id: index + 1, name: field("name"), message: field("message") }
    };
    Ok(text.lines().enumerate().map(entry).collect())
}

/// Adds an entry with one write, so that others who write at the same time do not come between.
pub fn append(name: &str, message: &str) -> io::Result<()> {
    let line = format!("name={}&message={}\n", form::encode(name), form::encode(message));
    let file = OpenOptions::new().append(true).create(true).open(FILE);
    file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(|error| context("cannot write", error))
}

fn context(what: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {FILE}: {error}"))
}
