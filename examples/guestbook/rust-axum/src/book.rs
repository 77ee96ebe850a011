//! The entries: one a line, encoded like the form they came from.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};

use serde::{Deserialize, Serialize};

const FILE: &str = "/data/entries";

/// What a visitor leaves. What the form has not is empty.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Signature {
    pub name: String,
    pub message: String,
}

#[derive(Serialize)]
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
        let Signature { name, message } =
            serde_urlencoded::from_str(line).map_err(|error| context("cannot understand", io::Error::other(error)))?;
        Ok(Entry { id: index + 1, name, message })
    };
    text.lines().enumerate().map(entry).collect()
}

/// Adds an entry with one write, so that others who write at the same time do not come between.
pub fn append(signature: &Signature) -> io::Result<()> {
    let line = serde_urlencoded::to_string(signature).map_err(io::Error::other)? + "\n";
    let file = OpenOptions::new().append(true).create(true).open(FILE);
    file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(|error| context("cannot write", error))
}

fn context(what: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {FILE}: {error}"))
}
