//! Content codings: which of a file's compressed siblings a client can read (RFC 9110 §12.5.3).
//!
//! In: the `Accept-Encoding` fields of a request. Out: codings, the best first. It must not know files.

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// A content coding.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Coding {
    pub(super) name: &'static str,
    /// The end of the name of such a file.
    pub(super) extension: &'static str,
    /// The part that distinguishes its entity tag.
    pub(super) tag: &'static str,
}

/// The codings that a client accepts, beside the file as it is.
#[derive(Debug, Default)]
pub(crate) struct Accepted(Vec<&'static Coding>);

impl Accepted {
    pub(crate) fn of(asked: &HeaderMap) -> Self {
        let mut accepted: Vec<(f32, &Coding)> = CODINGS
            .iter()
            .map(|coding| (weight(asked, coding.name), coding))
            .filter(|(weight, _)| *weight > 0.0)
            .collect();
        // Without a preference of the client, the order of the table.
        accepted.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        Self(accepted.into_iter().map(|(_, coding)| coding).collect())
    }

    pub(super) fn codings(&self) -> impl Iterator<Item = &'static Coding> {
        self.0.iter().copied()
    }
}

/// The weight of a coding: its own, else that of `*`, else none.
fn weight(asked: &HeaderMap, name: &str) -> f32 {
    let fields = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let (mut own, mut any) = (None, None);
    for item in fields.flat_map(|value| value.split(',')) {
        let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
        let quality = parameters.split(';').find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            key.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().unwrap_or(0.0))
        });
        let weight = quality.filter(|quality| (0.0..=1.0).contains(quality));
        let weight = if quality.is_none() { 1.0 } else { weight.unwrap_or(0.0) };
        let coding = coding.trim();
        if coding == "*" {
            any = Some(weight);
        } else if coding.eq_ignore_ascii_case(name) {
            own = Some(weight);
        }
    }
    own.or(any).unwrap_or(0.0)
}

/// The smallest first, as a rule.
const CODINGS: [Coding; 3] = [
    Coding { name: "br", extension: ".br", tag: "-br" },
    Coding { name: "zstd", extension: ".zst", tag: "-zst" },
    Coding { name: "gzip", extension: ".gz", tag: "-gz" },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_preference_comes_first_then_the_smallest() {
        for (fields, expected) in [
            (&[][..], &[][..]),
            (&["gzip, deflate, br, zstd"], &["br", "zstd", "gzip"]),
            (&["gzip"], &["gzip"]),
            (&["GZIP;Q=1"], &["gzip"]),
            (&["br;q=0.1, gzip;q=0.5"], &["gzip", "br"]),
            (&["gzip;q=0, br"], &["br"]),
            (&["*"], &["br", "zstd", "gzip"]),
            (&["*;q=0, gzip"], &["gzip"]),
            (&["br;q=0, *"], &["zstd", "gzip"]),
            (&["gzip", "br"], &["br", "gzip"]),
            (&["identity, deflate"], &[]),
            (&["gzip;q=nan, br;q=inf, zstd;q=-1"], &[]),
            (&["gzip;q=x"], &[]),
            (&["gzip;level=1"], &["gzip"]),
            (&["", ",,;", ";q=1"], &[]),
        ] {
            let mut asked = HeaderMap::new();
            for field in fields {
                asked.append(ACCEPT_ENCODING, field.parse().unwrap());
            }
            let names: Vec<_> = Accepted::of(&asked).codings().map(|coding| coding.name).collect();
            assert_eq!(names, expected, "{fields:?}");
        }
    }
}
