//! A static file: its content, as it is or compressed, and what the response's head says of it.
//!
//! In: an open file and its path. Out: the file and the fields that describe it; validators and ranges are added later. It
//! must not know where files come from.

use std::fs::File;
use std::time::UNIX_EPOCH;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue};

use super::coding::Coding;
use crate::tree::{Facts, Opened};

/// A file to serve.
#[derive(Debug)]
pub(crate) struct StaticFile {
    pub(crate) file: File,
    pub(crate) facts: Facts,
    pub(crate) headers: HeaderMap,
    media_type: &'static str,
}

impl StaticFile {
    pub(super) fn new(path: &str, opened: Opened) -> Self {
        let media_type = match mime_guess::from_path(path).first_raw() {
            // RFC 9239 §6.
            Some("application/javascript") => "text/javascript",
            known => known.unwrap_or("application/octet-stream"),
        };
        let content_type = match media_type.strip_prefix("text/") {
            Some(kind) => {
                HeaderValue::try_from(format!("text/{kind}; charset=utf-8")).expect("the name of a media type")
            }
            None => HeaderValue::from_static(media_type),
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type);
        // A file that a visitor has left is what its name says, whatever is in it.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let mut file = Self { file: opened.file, facts: opened.facts, headers, media_type };
        if file.is_worth_coding() {
            // RFC 9110 §12.5.5: also where there is no compressed one now, as there may be one later.
            file.headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        file
    }

    /// Files of this kind are smaller when they are compressed; others are compressed already.
    pub(super) fn is_worth_coding(&self) -> bool {
        let kind = self.media_type;
        kind.starts_with("text/") || COMPRESSIBLE.iter().any(|end| kind.ends_with(end))
    }

    /// Serves `opened`, which is the file in `coding`, in its place; unless the file was changed since that was made.
    pub(super) fn encode(&mut self, coding: &'static Coding, opened: Opened) -> bool {
        // Whole seconds, as many archives and copies have no more.
        let changed = |facts: &Facts| facts.modified?.duration_since(UNIX_EPOCH).ok().map(|age| age.as_secs());
        if changed(&opened.facts) < changed(&self.facts) {
            return false;
        }
        self.file = opened.file;
        self.facts = Facts { coding: coding.tag, ..opened.facts };
        self.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name));
        true
    }
}

/// How the names of those media types end.
const COMPRESSIBLE: [&str; 7] =
    ["json", "xml", "font/ttf", "font/otf", "image/bmp", "image/x-icon", "vnd.ms-fontobject"];
