//! A site: how the URL paths below a mount name the files of a directory.
//!
//! In: the `site` table of a command's annotations, or a program's settings. Out: a [`Site`] whose values are valid by
//! themselves. Whether its files exist is not checked here. It must not know files, HTTP or wasm.

use super::document::{Table, Text};
use super::refuse::refuse;
use crate::error::Error;
use crate::mount::guest_path;

/// A site of many files: scripts run, and other files are served as they are.
///
/// Without a site one script answers every URL path. With one, a path names a file below the site's root, as with nginx
/// and PHP-FPM:
///
/// ```no_run
/// # use tower_wcgi::{Access, Site, WcgiService};
/// # fn main() -> Result<(), tower_wcgi::Error> {
/// let blog = WcgiService::builder()
///     .package("php-cgi.wasm")
///     .map_dir("/app", "/srv/blog", Access::ReadOnly)
///     .map_dir("/app/uploads", "/srv/uploads", Access::ReadWrite)
///     .site(
///         Site::new("/app")
///             .scripts([".php"])
///             .fallback("/index.php")
///             .deny(["/includes/*", "/uploads/*.php"]),
///     )
///     .build()?;
/// # Ok(()) }
/// ```
///
/// A manifest has the same settings in the table `[command.annotations.wcgi.site]`, with keys of the same names. The page on
/// [sites](crate::_docs::sites) has the rules.
#[derive(Debug, Clone)]
#[must_use]
pub struct Site {
    pub(crate) root: String,
    /// The place where the root was set, for error messages.
    pub(crate) root_place: String,
    pub(crate) scripts: Vec<String>,
    /// As it was set. [`index_names`](Self::index_names) has the names that count.
    index: Option<Vec<String>>,
    pub(crate) fallback: Option<String>,
    pub(crate) deny: Vec<String>,
}

impl Site {
    /// A site of the files below `root`. That is a path as scripts see it: a mount's path or one below it. No file is a script,
    /// so all are served as they are.
    pub fn new(root: impl Into<String>) -> Self {
        Self {
            root: root.into(),
            root_place: "site.root".to_owned(),
            scripts: Vec::new(),
            index: None,
            fallback: None,
            deny: Vec::new(),
        }
    }

    /// The extensions of files that run, each with its dot: `.php`. The content of such files is never served, whatever the
    /// spelling of a path. Default: none.
    pub fn scripts(mut self, extensions: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scripts = extensions.into_iter().map(Into::into).collect();
        self
    }

    /// The names of index files. The first that a directory has answers for it. Default: `index` with each extension of
    /// [`scripts`](Self::scripts), then `index.html`.
    pub fn index(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.index = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// The file that answers for paths that name no file, as a path below the root. It may be a front controller, `/index.php`, or
    /// `/index.html`. A script sees itself as `SCRIPT_NAME`, an empty `PATH_INFO`, and the original path in `REQUEST_URI`.
    /// Default: none. Such paths are answered 404.
    pub fn fallback(mut self, path: impl Into<String>) -> Self {
        self.fallback = Some(path.into());
        self
    }

    /// Patterns of paths that are answered 404, whatever files exist. `*` stands for any characters, slashes too. Upper and lower
    /// case are the same. A pattern that begins with a slash matches whole paths. Any other pattern matches names at any depth. Both
    /// also deny everything below a match. So `/uploads/*.php` denies `/uploads/2026/a.php` and `/uploads/a.php/x`,
    /// and `*.sql` any dump. Default: none, beside the files that are
    /// [never served](crate::_docs::sites#what-is-never-served).
    pub fn deny(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.deny = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// The names of index files, the first one that exists counts.
    pub(crate) fn index_names(&self) -> Vec<String> {
        let default = || {
            let scripts = self.scripts.iter().map(|extension| format!("index{extension}"));
            scripts.chain(["index.html".to_owned()]).collect()
        };
        self.index.clone().unwrap_or_else(default)
    }

    /// The same site with its paths in normal form.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Package`](crate::ErrorKind::Package) for an invalid value.
    pub(crate) fn checked(mut self) -> Result<Self, Error> {
        let place = &self.root_place;
        self.root = guest_path(&self.root).map_err(|error| refuse(format!("{place}: {error}")))?;
        let all = |key: &str, values: &[String], check: Check| {
            values.iter().try_for_each(|value| check(value).map_err(|why| refuse(format!("site.{key}: {why}"))))
        };
        all("scripts", &self.scripts, check_extension)?;
        all("index", self.index.as_deref().unwrap_or_default(), check_index)?;
        all("fallback", self.fallback.as_slice(), check_fallback)?;
        all("deny", &self.deny, check_pattern)?;
        Ok(self)
    }

    /// The `site` table of a manifest with the same settings.
    #[cfg(any(feature = "compiler", feature = "webc"))]
    pub(super) fn to_table(&self) -> toml::Table {
        let list = |texts: &[String]| toml::Value::Array(texts.iter().cloned().map(toml::Value::String).collect());
        let mut table = toml::Table::new();
        table.insert("root".to_owned(), toml::Value::String(self.root.clone()));
        table.insert("scripts".to_owned(), list(&self.scripts));
        if let Some(index) = &self.index {
            table.insert("index".to_owned(), list(index));
        }
        if let Some(fallback) = &self.fallback {
            table.insert("fallback".to_owned(), toml::Value::String(fallback.clone()));
        }
        table.insert("deny".to_owned(), list(&self.deny));
        table
    }

    /// Reads the `site` table of a manifest or a `.webc`.
    ///
    /// # Errors
    ///
    /// Fails if `root` or `scripts` is missing, or a value is invalid or of the wrong type.
    pub(super) fn read(table: &Table<'_>) -> Result<Self, Error> {
        table.warn_unknown(KEYS);
        let Some(root) = table.text(&["root"])? else {
            return Err(table
                .error("root", "missing")
                .with_hint("a site needs the guest path of its files, as \"/app\""));
        };
        let has = |name| table.names().any(|key| key == name);
        // A default of none would serve the source of every script, which nobody wants.
        if !has("scripts") {
            let hint = "say which files run, as [\".php\"]; a site without scripts says `scripts = []`";
            return Err(table.error("scripts", "missing").with_hint(hint));
        }
        let fallback = table.text(&["fallback"])?.as_ref().map(|text| value(text, check_fallback)).transpose()?;
        Ok(Self {
            root: guest_path(root.value).map_err(|error| root.error(&error.to_string()))?,
            root_place: root.place(),
            scripts: values(table, "scripts", check_extension)?,
            index: has("index").then(|| values(table, "index", check_index)).transpose()?,
            fallback,
            deny: values(table, "deny", check_pattern)?,
        })
    }
}

/// Says why a value is invalid.
type Check = fn(&str) -> Result<(), String>;

fn values(table: &Table<'_>, key: &str, check: Check) -> Result<Vec<String>, Error> {
    table.texts(&[key])?.iter().map(|text| value(text, check)).collect()
}

fn value(text: &Text<'_>, check: Check) -> Result<String, Error> {
    check(text.value).map_err(|why| text.error(&why))?;
    Ok(text.value.to_owned())
}

fn check_extension(extension: &str) -> Result<(), String> {
    let name = extension.strip_prefix('.').unwrap_or_default();
    if name.is_empty() {
        return Err(format!("{extension:?} is no extension, which is a dot and a name, as \".php\""));
    }
    if name.contains(['/', '\\', '\0', '*', '?']) || name.ends_with(['.', ' ']) {
        return Err(format!("{extension:?} cannot be the end of a file's name"));
    }
    Ok(())
}

fn check_index(name: &str) -> Result<(), String> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0', '*', '?']) {
        return Err(format!("{name:?} is not the name of a file, as \"index.php\""));
    }
    Ok(())
}

fn check_fallback(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!("{path:?} is no path from the site's root, as \"/index.php\""));
    }
    if path.contains('?') {
        return Err(format!("{path:?} has a query; scripts get that of the request, and its path in REQUEST_URI"));
    }
    match guest_path(path) {
        Ok(normal) if normal == path && normal != "/" && !path.contains(['\\', '*']) => Ok(()),
        _ => Err(format!("{path:?} is not the path of a file in its plain form")),
    }
}

fn check_pattern(pattern: &str) -> Result<(), String> {
    if pattern.trim_matches('/').is_empty() {
        return Err(format!("{pattern:?} is not a pattern, as \"/private/*\" or \"*.sql\""));
    }
    if pattern.contains(['?', '[', ']', '{', '}', '\\', '\0']) || pattern.starts_with('!') {
        return Err(format!("{pattern:?} has more than `*`, which is all that a pattern can have"));
    }
    if pattern.split('/').any(|segment| matches!(segment, "." | "..")) || pattern.contains("//") {
        return Err(format!("{pattern:?} can match no path, which has no `.`, `..` or empty part"));
    }
    Ok(())
}

const KEYS: &[&str] = &["root", "scripts", "index", "fallback", "deny"];

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::*;

    #[test]
    fn a_directorys_index_follows_the_scripts_unless_it_is_said() {
        let site = Site::new("/app").scripts([".php", ".cgi"]);
        assert_eq!(site.index_names(), ["index.php", "index.cgi", "index.html"]);
        assert_eq!(Site::new("/app").index_names(), ["index.html"]);
        assert_eq!(site.clone().index(["home.php"]).index_names(), ["home.php"]);
        assert!(site.index([""; 0]).index_names().is_empty());
    }

    #[test]
    fn a_table_is_read_by_its_keys() {
        let text = "[site]\nroot = 'app'\nscripts = ['.php']\nindex = ['home.php']\nfallback = '/index.php'\n\
            deny = ['/.*', '/uploads/*.php']\ncolour = 1\n";
        let document = Document::from_toml("wasmer.toml".to_owned(), text).unwrap();
        let site = Site::read(&document.root().table("site").unwrap().unwrap()).unwrap();
        assert_eq!((site.root.as_str(), site.root_place.as_str()), ("/app", "wasmer.toml:2: site.root"));
        assert_eq!(
            (site.scripts.as_slice(), site.index_names().as_slice()),
            (&[".php".to_owned()][..], &["home.php".to_owned()][..])
        );
        assert_eq!((site.fallback.as_deref(), site.deny.len()), (Some("/index.php"), 2));
        assert_eq!(document.take_warnings(), ["wasmer.toml:7: unknown key site.colour, ignored"]);
        assert!(site.checked().is_ok());
    }

    #[test]
    fn paths_get_their_normal_form() {
        assert_eq!(Site::new("app/./public/").checked().unwrap().root, "/app/public");
    }

    #[test]
    fn values_that_mean_nothing_are_refused() {
        let site = || Site::new("/app");
        for (wrong, message) in [
            (Site::new(""), "site.root: guest path \"\" is empty"),
            (Site::new("/a/../b"), "site.root: guest path \"/a/../b\" contains `..`"),
            (site().scripts(["php"]), "site.scripts: \"php\" is no extension, which is a dot and a name, as \".php\""),
            (site().scripts(["."]), "site.scripts: \".\" is no extension, which is a dot and a name, as \".php\""),
            (site().scripts([".php", ".a/b"]), "site.scripts: \".a/b\" cannot be the end of a file's name"),
            (site().scripts([".php "]), "site.scripts: \".php \" cannot be the end of a file's name"),
            (site().index(["a/index.php"]), "site.index: \"a/index.php\" is not the name of a file, as \"index.php\""),
            (site().index([".."]), "site.index: \"..\" is not the name of a file, as \"index.php\""),
            (
                site().fallback("index.php"),
                "site.fallback: \"index.php\" is no path from the site's root, as \"/index.php\"",
            ),
            (site().fallback("/"), "site.fallback: \"/\" is not the path of a file in its plain form"),
            (site().fallback("/a/../b"), "site.fallback: \"/a/../b\" is not the path of a file in its plain form"),
            (
                site().fallback("/index.php?q"),
                "site.fallback: \"/index.php?q\" has a query; scripts get that of the request, and its path in REQUEST_URI",
            ),
            (site().deny(["/"]), "site.deny: \"/\" is not a pattern, as \"/private/*\" or \"*.sql\""),
            (
                site().deny(["/{a,b}/*"]),
                "site.deny: \"/{a,b}/*\" has more than `*`, which is all that a pattern can have",
            ),
            (
                site().deny(["/a/../b"]),
                "site.deny: \"/a/../b\" can match no path, which has no `.`, `..` or empty part",
            ),
        ] {
            let error = wrong.checked().unwrap_err();
            assert_eq!((error.to_string().as_str(), error.kind()), (message, crate::error::ErrorKind::Package));
        }
    }
}
