//! Documents: a package's description as a tree that remembers where each part was written.
//!
//! In: the text of a manifest, or the CBOR values of a `.webc`. Out: [`Table`]s to read by key, whose errors and warnings
//! name the file, the line if there is one, and the key. It knows the shapes of values, not the meaning of any key.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::refuse::refuse;
use crate::error::Error;

/// One file's tree and the warnings collected while reading it.
#[derive(Debug)]
pub(super) struct Document {
    /// The file as the user named it.
    file: String,
    root: Node,
    warnings: RefCell<Vec<(Option<usize>, String)>>,
}

/// A value and the line it begins on.
#[derive(Debug)]
pub(super) struct Node {
    line: Option<usize>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
    Bool(bool),
    /// A number, a date and so on. No key here takes one, so only the name of its type is kept.
    Other(&'static str),
}

#[derive(Debug)]
struct Entry {
    name: String,
    line: Option<usize>,
    node: Node,
}

/// One table of a document.
#[derive(Debug, Clone)]
pub(super) struct Table<'d> {
    document: &'d Document,
    /// Its dotted key; empty for the whole document.
    key: String,
    line: Option<usize>,
    entries: &'d [Entry],
}

/// One string of a document.
#[derive(Debug, Clone)]
pub(super) struct Text<'d> {
    document: &'d Document,
    key: String,
    line: Option<usize>,
    pub(super) value: &'d str,
}

/// A string or a table where a key takes both.
#[derive(Debug)]
pub(super) enum TextOrTable<'d> {
    Text(Text<'d>),
    Table(Table<'d>),
}

impl Document {
    /// Reads the text of a manifest.
    ///
    /// # Errors
    ///
    /// Fails if `text` is not TOML; the message names the file and the line.
    pub(super) fn from_toml(file: String, text: &str) -> Result<Self, Error> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            // Only the first line: Display is one line, and toml's own shows the source with its own line numbers.
            let why = error.message().lines().next().unwrap_or_default().to_owned();
            refuse(format!("{file}:{line}: not TOML: {why}"))
        })?;
        let lines = Lines { ends: text.match_indices('\n').map(|(end, _)| end).collect() };
        let root = Node { line: None, value: Value::Table(lines.entries(table.get_ref())) };
        Ok(Self { file, root, warnings: RefCell::default() })
    }

    /// A document from values that were decoded elsewhere and have no lines.
    #[cfg(feature = "webc")]
    pub(super) fn from_entries(file: String, entries: impl IntoIterator<Item = (String, Node)>) -> Self {
        Self { file, root: Node::table(entries), warnings: RefCell::default() }
    }

    pub(super) fn root(&self) -> Table<'_> {
        let entries = if let Value::Table(entries) = &self.root.value { entries.as_slice() } else { &[] };
        Table { document: self, key: String::new(), line: None, entries }
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Takes the warnings out, in the order of their lines.
    pub(super) fn take_warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.take();
        warnings.sort_by_key(|(line, _)| *line);
        warnings.into_iter().map(|(_, warning)| warning).collect()
    }

    fn message(&self, line: Option<usize>, what: &str) -> String {
        let file = &self.file;
        match line {
            Some(line) => format!("{file}:{line}: {what}"),
            None => format!("{file}: {what}"),
        }
    }

    fn error(&self, line: Option<usize>, key: &str, why: &str) -> Error {
        refuse(self.message(line, &format!("{key}: {why}")))
    }

    fn warn(&self, line: Option<usize>, key: &str, what: &str) {
        self.warnings.borrow_mut().push((line, self.message(line, &format!("{key}: {what}"))));
    }

    fn expected(&self, node: &Node, key: &str, what: &str) -> Error {
        self.error(node.line, key, &format!("expected {what}, found {}", node.value.name()))
    }
}

#[cfg(feature = "webc")]
impl Node {
    pub(super) fn text(value: String) -> Self {
        Self { line: None, value: Value::Text(value) }
    }

    pub(super) fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self { line: None, value: Value::List(items.into_iter().collect()) }
    }

    pub(super) fn table(entries: impl IntoIterator<Item = (String, Self)>) -> Self {
        let entries = entries.into_iter().map(|(name, node)| Entry { name, line: None, node }).collect();
        Self { line: None, value: Value::Table(entries) }
    }

    pub(super) fn bool(value: bool) -> Self {
        Self { line: None, value: Value::Bool(value) }
    }

    pub(super) fn other(name: &'static str) -> Self {
        Self { line: None, value: Value::Other(name) }
    }
}

impl Value {
    fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
            Self::Bool(_) => "a boolean",
            Self::Other(name) => name,
        }
    }
}

impl<'d> Table<'d> {
    /// The string under the first of `names` that exists. Several names are spellings of one key.
    ///
    /// # Errors
    ///
    /// Fails if it is not a string.
    pub(super) fn text(&self, names: &[&str]) -> Result<Option<Text<'d>>, Error> {
        self.find(names).map(|(key, node)| self.as_text(key, node, "a string")).transpose()
    }

    /// The strings of the array under the first of `names` that exists. None if none exists.
    ///
    /// # Errors
    ///
    /// Fails if it is not an array of strings.
    pub(super) fn texts(&self, names: &[&str]) -> Result<Vec<Text<'d>>, Error> {
        let Some((key, node)) = self.find(names) else { return Ok(Vec::new()) };
        let Value::List(items) = &node.value else {
            return Err(self.document.expected(node, &key, "an array of strings"));
        };
        items.iter().map(|item| self.as_text(key.clone(), item, "a string")).collect()
    }

    /// The boolean under `name`.
    ///
    /// # Errors
    ///
    /// Fails if it is none.
    pub(super) fn bool(&self, name: &str) -> Result<Option<bool>, Error> {
        match self.find(&[name]) {
            None => Ok(None),
            Some((_, Node { value: Value::Bool(value), .. })) => Ok(Some(*value)),
            Some((key, node)) => Err(self.document.expected(node, &key, "a boolean")),
        }
    }

    /// The table under `name`.
    ///
    /// # Errors
    ///
    /// Fails if it is not a table.
    pub(super) fn table(&self, name: &str) -> Result<Option<Self>, Error> {
        self.find(&[name]).map(|(key, node)| self.as_table(key, node, "a table")).transpose()
    }

    /// The tables of the array under `name`. A single table counts as an array of one.
    ///
    /// # Errors
    ///
    /// Fails if it is neither.
    pub(super) fn tables(&self, name: &str) -> Result<Vec<Self>, Error> {
        let Some((key, node)) = self.find(&[name]) else { return Ok(Vec::new()) };
        match &node.value {
            Value::List(items) => items.iter().map(|item| self.as_table(key.clone(), item, "a table")).collect(),
            _ => Ok(vec![self.as_table(key, node, "a table or an array of tables")?]),
        }
    }

    /// The string or table under `name`.
    ///
    /// # Errors
    ///
    /// Fails if it is neither.
    pub(super) fn text_or_table(&self, name: &str) -> Result<Option<TextOrTable<'d>>, Error> {
        let Some((key, node)) = self.find(&[name]) else { return Ok(None) };
        Ok(Some(match &node.value {
            Value::Text(_) => TextOrTable::Text(self.as_text(key, node, "a string")?),
            _ => TextOrTable::Table(self.as_table(key, node, "a string or a table")?),
        }))
    }

    /// Its keys as they are written, by line.
    pub(super) fn names(&self) -> impl Iterator<Item = &'d str> + use<'d> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|entry| entry.line);
        entries.into_iter().map(|entry| entry.name.as_str())
    }

    /// Warns of every key that is not among `known`.
    pub(super) fn warn_unknown(&self, known: &[&str]) {
        for entry in self.entries.iter().filter(|entry| !known.contains(&entry.name.as_str())) {
            let message =
                self.document.message(entry.line, &format!("unknown key {}, ignored", self.join(&entry.name)));
            self.document.warnings.borrow_mut().push((entry.line, message));
        }
    }

    /// An error about the key `name` of this table, on its line, or on the table's line if it is missing.
    pub(super) fn error(&self, name: &str, why: &str) -> Error {
        let (line, key) = self.place(name);
        self.document.error(line, &key, why)
    }

    /// A warning about the key `name` of this table.
    pub(super) fn warn(&self, name: &str, what: &str) {
        let (line, key) = self.place(name);
        self.document.warn(line, &key, what);
    }

    fn place(&self, name: &str) -> (Option<usize>, String) {
        let entry = self.entries.iter().find(|entry| entry.name == name);
        (entry.map_or(self.line, |entry| entry.line), self.join(name))
    }

    fn find(&self, names: &[&str]) -> Option<(String, &'d Node)> {
        let find = |name: &&str| self.entries.iter().find(|entry| entry.name == **name);
        names.iter().find_map(find).map(|entry| (self.join(&entry.name), &entry.node))
    }

    fn join(&self, name: &str) -> String {
        let separator = if self.key.is_empty() { "" } else { "." };
        format!("{}{separator}{}", self.key, key_segment(name))
    }

    fn as_text(&self, key: String, node: &'d Node, what: &str) -> Result<Text<'d>, Error> {
        match &node.value {
            Value::Text(value) => Ok(Text { document: self.document, key, line: node.line, value }),
            _ => Err(self.document.expected(node, &key, what)),
        }
    }

    fn as_table(&self, key: String, node: &'d Node, what: &str) -> Result<Self, Error> {
        match &node.value {
            Value::Table(entries) => Ok(Self { document: self.document, key, line: node.line, entries }),
            _ => Err(self.document.expected(node, &key, what)),
        }
    }
}

impl Text<'_> {
    /// File, line and key, for an error that can only be seen later.
    pub(super) fn place(&self) -> String {
        self.document.message(self.line, &self.key)
    }

    pub(super) fn error(&self, why: &str) -> Error {
        self.document.error(self.line, &self.key, why)
    }

    pub(super) fn warn(&self, what: &str) {
        self.document.warn(self.line, &self.key, what);
    }

    /// Its value, as an argument or a path.
    ///
    /// # Errors
    ///
    /// Fails if it holds a NUL, which ends such strings early.
    pub(super) fn without_nul(&self) -> Result<&str, Error> {
        if self.value.contains('\0') { Err(self.error("contains a NUL")) } else { Ok(self.value) }
    }
}

/// Turns the parser's values into ours, with lines for offsets.
struct Lines {
    /// The offsets of the line ends.
    ends: Vec<usize>,
}

impl Lines {
    fn at(&self, offset: usize) -> usize {
        1 + self.ends.partition_point(|&end| end < offset)
    }

    fn entries(&self, table: &DeTable<'_>) -> Vec<Entry> {
        let entry = |(name, value): (&Spanned<_>, &Spanned<_>)| Entry {
            name: AsRef::<str>::as_ref(name.get_ref()).to_owned(),
            line: Some(self.at(name.span().start)),
            node: self.node(value),
        };
        table.iter().map(entry).collect()
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Node {
        let line = Some(self.at(value.span().start));
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.as_ref().to_owned()),
            DeValue::Array(items) => Value::List(items.iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => Value::Table(self.entries(table)),
            DeValue::Integer(_) => Value::Other("an integer"),
            DeValue::Float(_) => Value::Other("a float"),
            DeValue::Boolean(value) => Value::Bool(*value),
            DeValue::Datetime(_) => Value::Other("a date"),
        };
        Node { line, value }
    }
}

/// The line, counted from 1, that the byte at `offset` is on.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
}

/// A key as TOML writes it: quoted where it has to be.
fn key_segment(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if bare { name.to_owned() } else { format!("{name:?}") }
}
