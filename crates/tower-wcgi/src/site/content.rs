//! A static file: its content, plain or compressed, and the fields of the response's head about it.
//!
//! In: an open file and its path. Out: the file and the fields that describe it. Validators and ranges are added later. It
//! must not know where files come from.

use std::fs::File;
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue};

use super::coding::Coding;
use super::media_type::media_type;
use crate::tree::{Facts, OpenFile};

/// A file to serve.
#[derive(Debug)]
pub(crate) struct StaticFile {
    pub(crate) file: File,
    pub(crate) facts: Facts,
    pub(crate) headers: HeaderMap,
    media_type: &'static str,
}

impl StaticFile {
    pub(super) fn new(path: &str, opened: OpenFile) -> Self {
        let media_type = media_type(path);
        let content_type = match media_type.strip_prefix("text/") {
            Some(kind) => {
                HeaderValue::try_from(format!("text/{kind}; charset=utf-8")).expect("the name of a media type")
            }
            None => HeaderValue::from_static(media_type),
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type);
        // A visitor's file is what its name says, whatever it contains.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let mut file = Self { file: opened.file, facts: opened.facts, headers, media_type };
        if path.to_ascii_lowercase().ends_with(".svgz") {
            // Browsers recognise such a picture only by its coding.
            file.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        } else if file.is_worth_coding() {
            // RFC 9110 §12.5.5: also without a compressed sibling now, because there may be one later.
            file.headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        file
    }

    /// Whether compression makes files of this type smaller. Other types are compressed already.
    pub(super) fn is_worth_coding(&self) -> bool {
        let kind = self.media_type;
        let is_coded = self.headers.contains_key(CONTENT_ENCODING);
        !is_coded && (kind.starts_with("text/") || COMPRESSIBLE.iter().any(|end| kind.ends_with(end)))
    }

    /// Serves `opened`, which is the file in `coding`, in its place, unless the file was changed after `opened` was made.
    pub(super) fn encode(&mut self, coding: &'static Coding, opened: OpenFile) -> bool {
        if is_older(&opened.facts, &self.facts) {
            return false;
        }
        self.file = opened.file;
        self.facts = Facts { coding: coding.tag, ..opened.facts };
        self.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name));
        true
    }
}

/// Whether the compressed `sibling` was made before `file` was changed. In whole seconds, because many archives and copies keep
/// no fractions. All files of a release may have one and the same unreliable time. Then the kernel's times of change decide,
/// with some tolerance: it takes a while to put all files of a release in place.
fn is_older(sibling: &Facts, file: &Facts) -> bool {
    let seconds = |time: Option<SystemTime>| time?.duration_since(UNIX_EPOCH).ok().map(|age| age.as_secs());
    let times = [seconds(sibling.modified), seconds(file.modified)];
    let changes = [seconds(sibling.changed), seconds(file.changed)];
    match (times, changes) {
        ([Some(time), Some(same)], [Some(sibling), Some(file)]) if time == same && file > same + RELEASE_SECONDS => {
            file > sibling + RELEASE_SECONDS
        }
        ([sibling, file], _) => sibling < file,
    }
}

/// How long it takes at most to put the files of a release in place.
const RELEASE_SECONDS: u64 = 60;

/// Ends of the names of those media types.
const COMPRESSIBLE: [&str; 7] =
    ["json", "xml", "font/ttf", "font/otf", "image/bmp", "image/x-icon", "vnd.ms-fontobject"];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_sibling_is_older_by_its_time_or_where_that_says_nothing_by_its_change() {
        let at = |seconds: u64| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        let facts = |(modified, changed): (u64, u64)| Facts {
            length: 1,
            modified: at(modified),
            changed: at(changed),
            inode: 0,
            now: UNIX_EPOCH + Duration::from_secs(10_000),
            coding: "",
        };
        for (sibling, file, older) in [
            ((1000, 1000), (1000, 1000), false),
            ((1001, 1001), (1000, 1000), false),
            ((999, 999), (1000, 1000), true),
            // Its mode was changed later.
            ((1000, 1000), (999, 5000), false),
            // One time for all, put there together.
            ((1, 5000), (1, 5001), false),
            ((1, 5001), (1, 5000), false),
            // A release later the file is another one.
            ((1, 5000), (1, 9000), true),
            ((1, 9000), (1, 5000), false),
        ] {
            assert_eq!(is_older(&facts(sibling), &facts(file)), older, "{sibling:?} {file:?}");
        }
    }
}
