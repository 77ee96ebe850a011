//! A TOML file as tables to read by key. Each error names the file, the line and the key.
//!
//! In: the text of a file. Out: checked values, each with its [`Place`]. It knows the shapes of values, and no key.

use std::fmt::{self, Display};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::arguments;

/// Where something is written: file, line and key.
#[derive(Debug, Clone)]
pub(crate) struct Place(String);

/// A value, and where it is written. Two are equal when their values are.
#[derive(Debug, Clone)]
pub(crate) struct Said<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// A file and its lines.
#[derive(Debug)]
pub(super) struct Document {
    file: String,
    /// The offsets of the line ends.
    ends: Vec<usize>,
}

/// One table of a document.
#[derive(Debug)]
pub(super) struct Table<'d> {
    document: &'d Document,
    /// Its dotted key; empty for the whole document.
    key: String,
    line: usize,
    entries: &'d DeTable<'d>,
}

impl Place {
    pub(crate) fn error(&self, why: impl Display) -> anyhow::Error {
        anyhow::anyhow!("{self}: {why}")
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<T: PartialEq> PartialEq for Said<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Document {
    pub(super) fn new(file: &str, text: &str) -> Self {
        Self { file: file.to_owned(), ends: text.match_indices('\n').map(|(end, _)| end).collect() }
    }

    /// # Errors
    ///
    /// When `text` is not TOML.
    pub(super) fn parse<'t>(&self, text: &'t str) -> anyhow::Result<Spanned<DeTable<'t>>> {
        DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| self.line(span.start));
            // toml's own text shows the source and its own line numbers below.
            let why = error.message().lines().next().unwrap_or_default();
            anyhow::anyhow!("{}:{line}: not TOML: {why}", self.file)
        })
    }

    pub(super) fn root<'d>(&'d self, entries: &'d Spanned<DeTable<'d>>) -> Table<'d> {
        Table { document: self, key: String::new(), line: 1, entries: entries.get_ref() }
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.ends.partition_point(|&end| end < offset)
    }

    fn place(&self, line: usize, key: &str) -> Place {
        Place(format!("{}:{line}: {key}", self.file))
    }
}

impl<'d> Table<'d> {
    /// # Errors
    ///
    /// For the first key that is not `known`.
    pub(super) fn only(&self, known: &[&str]) -> anyhow::Result<()> {
        let unknown = self.entries.iter().filter(|(name, _)| !known.contains(&name.get_ref().as_ref()));
        match unknown.min_by_key(|(name, _)| name.span().start) {
            None => Ok(()),
            Some((name, _)) => {
                let line = self.document.line(name.span().start);
                let place = self.document.place(line, &self.join(name.get_ref()));
                Err(place.error(format!("unknown key; the keys here are {}", known.join(", "))))
            }
        }
    }

    /// # Errors
    ///
    /// When the key `name` is there: nothing here does what it asks for.
    pub(super) fn refuse(&self, name: &str) -> anyhow::Result<()> {
        match self.find(name) {
            None => Ok(()),
            Some((place, _)) => Err(place.error("this version of wcgi does not have it")),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The line of the key `name`, or that of the table where it is missing.
    pub(super) fn place(&self, name: &str) -> Place {
        self.find(name).map_or_else(|| self.document.place(self.line, &self.join(name)), |(place, _)| place)
    }

    pub(super) fn text(&self, name: &str) -> anyhow::Result<Option<Said<String>>> {
        self.find(name).map(|(place, value)| text(place, value.get_ref(), "a string")).transpose()
    }

    pub(super) fn texts(&self, name: &str) -> anyhow::Result<Option<Vec<Said<String>>>> {
        let Some((place, value)) = self.find(name) else { return Ok(None) };
        let DeValue::Array(items) = value.get_ref() else {
            return Err(expected(&place, "an array of strings", value.get_ref()));
        };
        let item = |item: &Spanned<DeValue<'_>>| {
            let place = self.document.place(self.document.line(item.span().start), &self.join(name));
            text(place, item.get_ref(), "a string")
        };
        items.iter().map(item).collect::<Result<_, _>>().map(Some)
    }

    /// One string, or an array of them.
    pub(super) fn text_or_texts(&self, name: &str) -> anyhow::Result<Vec<Said<String>>> {
        match self.find(name) {
            Some((_, value)) if value.get_ref().is_str() => Ok(self.text(name)?.into_iter().collect()),
            _ => Ok(self.texts(name)?.unwrap_or_default()),
        }
    }

    /// The names and sizes of a table.
    pub(super) fn sizes(&self, name: &str) -> anyhow::Result<Vec<(String, u64)>> {
        let Some(table) = self.table(name)? else { return Ok(Vec::new()) };
        let names = table.entries.keys().map(|name| AsRef::<str>::as_ref(name.get_ref()));
        let size = |name: &str| Ok(table.size(name)?.map(|size| (name.to_owned(), size.value)));
        names.filter_map(|name| size(name).transpose()).collect()
    }

    pub(super) fn bool(&self, name: &str) -> anyhow::Result<Option<bool>> {
        match self.find(name) {
            None => Ok(None),
            Some((place, value)) => match value.get_ref() {
                DeValue::Boolean(value) => Ok(Some(*value)),
                other => Err(expected(&place, "true or false", other)),
            },
        }
    }

    /// A number of at least `least`.
    pub(super) fn count(&self, name: &str, least: usize) -> anyhow::Result<Option<Said<usize>>> {
        let Some((place, value)) = self.find(name) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Integer(number) => {
                let number = i128::from_str_radix(number.as_str(), number.radix()).ok();
                match number.and_then(|number| usize::try_from(number).ok()).filter(|number| *number >= least) {
                    Some(value) => Ok(Some(Said { value, place })),
                    None => Err(place.error(format!("expected a whole number of at least {least}"))),
                }
            }
            other => Err(expected(&place, "a whole number", other)),
        }
    }

    /// A number of bytes, or text as `--max-body` takes it.
    pub(super) fn size(&self, name: &str) -> anyhow::Result<Option<Said<u64>>> {
        let Some((place, value)) = self.find(name) else { return Ok(None) };
        let size = match value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
                .map_err(|_| "expected bytes, such as 1048576 or \"1MiB\"".to_owned()),
            DeValue::String(text) => arguments::size(text),
            other => return Err(expected(&place, "a size, such as 1048576 or \"1MiB\"", other)),
        };
        size.map_err(|why| place.error(why)).map(|value| Some(Said { value, place }))
    }

    /// A size that linear memory can have.
    pub(super) fn memory(&self, name: &str) -> anyhow::Result<Option<Said<usize>>> {
        let Some(size) = self.size(name)? else { return Ok(None) };
        match usize::try_from(size.value) {
            Ok(value) if MEMORY.contains(&size.value) => Ok(Some(Said { value, place: size.place })),
            _ => Err(size.place.error("must be between 64KiB and 4GiB")),
        }
    }

    /// Seconds, or text with a unit.
    pub(super) fn duration(&self, name: &str, zero: Zero) -> anyhow::Result<Option<Said<Duration>>> {
        let Some((place, value)) = self.find(name) else { return Ok(None) };
        let duration = match value.get_ref() {
            DeValue::Integer(number) => number.as_str().parse().ok().and_then(|seconds| seconds_of(seconds, 1.0)),
            DeValue::Float(number) => number.as_str().parse().ok().and_then(|seconds| seconds_of(seconds, 1.0)),
            DeValue::String(text) => duration(text),
            other => return Err(expected(&place, A_DURATION, other)),
        };
        match duration {
            None => Err(place.error(format!("expected {A_DURATION}"))),
            Some(Duration::ZERO) if zero == Zero::Refused => Err(place.error("must be more than 0")),
            Some(value) => Ok(Some(Said { value, place })),
        }
    }

    /// The names and values of a table of strings, numbers and booleans, as they are written.
    pub(super) fn variables(&self, name: &str) -> anyhow::Result<Vec<(String, Said<String>)>> {
        let Some(table) = self.table(name)? else { return Ok(Vec::new()) };
        let variable = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let name: &str = AsRef::<str>::as_ref(name.get_ref());
            let place = table.place(name);
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(place.error("cannot be the name of a variable"));
            }
            let value = match value.get_ref() {
                DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => number.to_string(),
                    Err(_) => number.as_str().to_owned(),
                },
                DeValue::Float(number) => number.as_str().to_owned(),
                DeValue::Boolean(value) => value.to_string(),
                other => text(place.clone(), other, "a string, a number or a boolean")?.value,
            };
            Ok((name.to_owned(), Said { value, place }))
        };
        table.entries.iter().map(variable).collect()
    }

    pub(super) fn table(&self, name: &str) -> anyhow::Result<Option<Self>> {
        self.find(name).map(|(place, value)| self.as_table(name, &place, value)).transpose()
    }

    /// The tables of an array.
    pub(super) fn tables(&self, name: &str) -> anyhow::Result<Vec<Self>> {
        let Some((place, value)) = self.find(name) else { return Ok(Vec::new()) };
        match value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| self.as_table(name, &place, item)).collect(),
            other => Err(expected(&place, &format!("an array of tables, each written [[{name}]]"), other)),
        }
    }

    fn as_table(&self, name: &str, place: &Place, value: &'d Spanned<DeValue<'d>>) -> anyhow::Result<Self> {
        match value.get_ref() {
            DeValue::Table(entries) => Ok(Self {
                document: self.document,
                key: self.join(name),
                line: self.document.line(value.span().start),
                entries,
            }),
            other => Err(expected(place, "a table", other)),
        }
    }

    fn find(&self, name: &str) -> Option<(Place, &'d Spanned<DeValue<'d>>)> {
        let (key, value) = self.entries.iter().find(|(key, _)| key.get_ref() == name)?;
        Some((self.document.place(self.document.line(key.span().start), &self.join(name)), value))
    }

    fn join(&self, name: &str) -> String {
        let separator = if self.key.is_empty() { "" } else { "." };
        format!("{}{separator}{name}", self.key)
    }
}

/// Whether a duration may be none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zero {
    Allowed,
    Refused,
}

fn text(place: Place, value: &DeValue<'_>, what: &str) -> anyhow::Result<Said<String>> {
    match value {
        DeValue::String(text) if text.contains('\0') => Err(place.error("contains a NUL")),
        DeValue::String(text) => Ok(Said { value: text.as_ref().to_owned(), place }),
        other => Err(expected(&place, what, other)),
    }
}

fn expected(place: &Place, what: &str, found: &DeValue<'_>) -> anyhow::Error {
    place.error(format!("expected {what}, found {}", found.type_str()))
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits)? {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
        .then(|| digits.parse().ok())?
        .and_then(|number| seconds_of(number, unit))
}

fn seconds_of(number: f64, unit: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number * unit).ok()
}

const MEMORY: std::ops::RangeInclusive<u64> = 64 << 10..=4 << 30;
const A_DURATION: &str = "seconds, or text such as \"500ms\", \"10s\", \"5m\" or \"1h\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("1h", 3_600_000), ("1.5s", 1500)] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "s", "-1s", "1d", "1 s", "1e400s", "infs", "nans", "1S", "+1s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
