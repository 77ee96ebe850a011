//! Commands: the command of a package that is run, and its settings.
//!
//! In: the names and runners of the commands, and the annotations of the one that was picked, from a manifest or a
//! `.webc` alike. Out: [`Settings`]. It knows files by name only.

use super::document::{Table, Text, TextOrTable};
use super::refuse::refuse;
use super::site::Site;
use crate::connection::TrustedProxies;
use crate::error::Error;
use crate::mount::guest_path;
use crate::outbound::{InvalidNetRule, NetRule};

/// The runner that a command asks for. Both run in the same way here. A `wcgi` command is picked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runner {
    Wcgi,
    Wasi,
}

/// The facts about a command that picking needs.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) name: &'a str,
    /// None for an unknown runner.
    pub(super) runner: Option<Runner>,
}

/// The settings in the annotations of a command.
#[derive(Debug, Default)]
pub(super) struct Settings<'d> {
    pub(super) atom: Option<Text<'d>>,
    /// The package that has the atom, if it is another one.
    pub(super) atom_package: Option<Text<'d>>,
    pub(super) env: Vec<(String, String)>,
    pub(super) main_args: Vec<String>,
    pub(super) cwd: Option<String>,
    pub(super) exec_name: Option<String>,
    pub(super) site: Option<Site>,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) front: Front,
    /// What the script wants to connect to.
    pub(super) connect: Vec<NetRule>,
}

/// A command's settings about the server in front of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Front {
    /// Whether every client uses TLS, if that is set.
    pub(crate) https: Option<bool>,
    pub(crate) pass_authorization: Option<bool>,
    pub(crate) trusted_proxies: Option<TrustedProxies>,
}

impl Front {
    fn read(table: &Table<'_>) -> Result<Self, Error> {
        let mut proxies = Vec::new();
        for network in table.texts(&["trusted_proxies"])? {
            TrustedProxies::new([network.value]).map_err(|error| network.error(&error.to_string()))?;
            proxies.push(network.value);
        }
        Ok(Self {
            https: table.bool("https")?,
            pass_authorization: table.bool("pass_authorization")?,
            trusted_proxies: if proxies.is_empty() { None } else { Some(TrustedProxies::new(proxies)?) },
        })
    }
}

/// A command's settings about the snapshot of its start-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) enabled: bool,
    /// The script seeds its random numbers anew in every request, so old ones in its memory do no harm.
    pub(crate) reseeds: bool,
    /// Variables for the start-up, besides the command's own and in place of those of the same name.
    pub(crate) env: Vec<(String, String)>,
    /// Requests that the start-up answers in advance: `/path?query`, as a client would send it.
    pub(crate) warmup: Vec<String>,
    /// For a module that is already a snapshot: the guest paths of the mounts that its start-up has seen.
    pub(crate) mounts: Option<Vec<String>>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { enabled: true, reseeds: false, env: Vec::new(), warmup: Vec::new(), mounts: None }
    }
}

impl Snapshot {
    fn read(table: &Table<'_>) -> Result<Self, Error> {
        table.warn_unknown(&["enabled", "env", "mounts", "reseeds", "warmup"]);
        let mounts = table.texts(&["mounts"])?.iter().map(|mount| mount.value.to_owned()).collect();
        Ok(Self {
            enabled: table.bool("enabled")?.unwrap_or(true),
            reseeds: table.bool("reseeds")?.unwrap_or(false),
            env: read_env(table)?,
            warmup: table.texts(&["warmup"])?.iter().map(warmup_request).collect::<Result<_, _>>()?,
            mounts: table.names().any(|name| name == "mounts").then_some(mounts),
        })
    }
}

impl Runner {
    /// Reads the short names of manifests and the URLs of `.webc` files, which may end in a version or a kind:
    /// `https://webc.org/runner/wasi@unstable_`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix("https://webc.org/runner/").unwrap_or(text);
        match name.split(['@', '/']).next() {
            Some("wcgi") => Some(Self::Wcgi),
            Some("wasi") => Some(Self::Wasi),
            _ => None,
        }
    }
}

/// The index of the command to run: `asked`, else `entrypoint`, else the only `wcgi` command. If there is no `wcgi` command,
/// the only command.
///
/// # Errors
///
/// Fails if `asked` or the entrypoint is not a command, or if several commands remain. The message lists the commands.
pub(super) fn pick(
    file: &str,
    candidates: &[Candidate<'_>],
    asked: Option<&str>,
    entrypoint: Option<&Text<'_>>,
) -> Result<usize, Error> {
    if candidates.is_empty() {
        return Err(refuse(format!("{file}: no commands"))
            .with_hint("a package needs a `[[command]]`, and a `[[module]]` for it to run"));
    }
    let position = |name: &str| candidates.iter().position(|candidate| candidate.name == name);
    let names = list(candidates.iter().map(|candidate| candidate.name));
    if let Some(asked) = asked {
        return position(asked).ok_or_else(|| refuse(format!("{file}: no command {asked:?} among {names}")));
    }
    if let Some(entrypoint) = entrypoint {
        let why = || entrypoint.error(&format!("no command {:?} among {names}", entrypoint.value));
        return position(entrypoint.value).ok_or_else(why);
    }
    let wcgi = |candidate: &Candidate<'_>| candidate.runner == Some(Runner::Wcgi);
    let mut of_wcgi = candidates.iter().enumerate().filter(|(_, candidate)| wcgi(candidate));
    match (of_wcgi.next(), of_wcgi.next(), candidates) {
        (Some((only, _)), None, _) => Ok(only),
        (None, None, [_]) => Ok(0),
        _ => Err(refuse(format!("{file}: which command? choose one of {names}"))
            .with_hint("name it with `--command NAME`, or in `package.entrypoint`")),
    }
}

impl<'d> Settings<'d> {
    /// Reads the annotations of a command: the `wasi` and `wcgi` tables, then the same keys beside them. Some older
    /// manifests have keys there, and every newer `.webc` has its `atom` there. Environments are merged. If a key is set twice,
    /// the last value counts.
    ///
    /// # Errors
    ///
    /// Fails if a key has the wrong type or an unusable value, or asks for something that does not exist here.
    pub(super) fn read(annotations: &Table<'d>) -> Result<Self, Error> {
        let mut settings = Self::default();
        annotations.warn_unknown(&[SETTINGS, RUNNERS].concat());
        if let Some(wasi) = annotations.table("wasi")? {
            wasi.warn_unknown(SETTINGS);
            settings.add(&wasi)?;
        }
        if let Some(wcgi) = annotations.table("wcgi")? {
            wcgi.warn_unknown(&[SETTINGS, WCGI_SETTINGS].concat());
            settings.add(&wcgi)?;
            settings.front = Front::read(&wcgi)?;
            settings.site = wcgi.table("site")?.map(|site| Site::read(&site)).transpose()?;
            if let Some(snapshot) = wcgi.table("snapshot")? {
                settings.snapshot = Some(Snapshot::read(&snapshot)?);
            }
            if let Some(network) = wcgi.table("network")? {
                network.warn_unknown(&["connect"]);
                let rule =
                    |text: &Text<'_>| text.value.parse().map_err(|why: InvalidNetRule| text.error(&why.to_string()));
                settings.connect = network.texts(&["connect"])?.iter().map(rule).collect::<Result<_, _>>()?;
            }
        }
        settings.add(annotations)?;
        Ok(settings)
    }

    fn add(&mut self, table: &Table<'d>) -> Result<(), Error> {
        match table.text(&["dialect"])?.map(|dialect| (dialect.value, dialect)) {
            None | Some((DIALECT, _)) => {}
            Some((OLDER_DIALECT, dialect)) => {
                dialect.warn(&format!("{OLDER_DIALECT:?} is an older name of {DIALECT:?}, which is used"));
            }
            Some((other, dialect)) => {
                let error = dialect.error(&format!("unknown dialect {other:?}, the only one is {DIALECT:?}"));
                return Err(error.with_hint(format!("write `dialect = \"{DIALECT}\"`, or leave the key out")));
            }
        }
        match table.text_or_table("atom")? {
            None => {}
            Some(TextOrTable::Text(atom)) => self.atom = Some(atom),
            Some(TextOrTable::Table(atom)) => {
                self.atom_package = atom.text(&["dependency"])?;
                self.atom = atom.text(&["name"])?;
            }
        }
        for (key, value) in read_env(table)? {
            set_env(&mut self.env, &key, &value);
        }
        let main_args = table.texts(&["main-args", "main_args"])?;
        if !main_args.is_empty() {
            self.main_args =
                main_args.iter().map(|arg| arg.without_nul().map(str::to_owned)).collect::<Result<_, _>>()?;
        }
        if let Some(cwd) = table.text(&["cwd"])? {
            self.cwd = Some(guest_path(cwd.value).map_err(|error| cwd.error(&error.to_string()))?);
        }
        if let Some(exec_name) = table.text(&["exec-name", "exec_name"])? {
            self.exec_name = Some(exec_name.without_nul()?.to_owned());
        }
        Ok(())
    }

    /// The arguments of a program called `name` unless the annotations call it otherwise.
    pub(super) fn arguments(&mut self, name: &str) -> Vec<String> {
        let mut arguments = vec![self.exec_name.take().unwrap_or_else(|| name.to_owned())];
        arguments.append(&mut self.main_args);
        arguments
    }
}

/// Sets one variable: in place where the key is there already, else at the end.
pub(crate) fn set_env(env: &mut Vec<(String, String)>, key: &str, value: &str) {
    match env.iter_mut().find(|(present, _)| present == key) {
        Some((_, present)) => value.clone_into(present),
        None => env.push((key.to_owned(), value.to_owned())),
    }
}

/// The error for a part of a `.webc` that is in another package.
#[cfg(feature = "webc")]
pub(super) fn from_dependency(text: &Text<'_>, name: &str) -> Error {
    let why = format!("{name:?} is in a dependency, and a .webc has none here");
    text.error(&why).with_hint("unpack it into a directory, and name the package in `[dependencies]`")
}

/// Names as a sentence lists them: `"a", "b"`.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

fn read_env(table: &Table<'_>) -> Result<Vec<(String, String)>, Error> {
    let mut env = Vec::new();
    for entry in table.texts(&["env"])? {
        let (key, value) = split_env(&entry)?;
        set_env(&mut env, key, value);
    }
    Ok(env)
}

fn split_env<'d>(entry: &Text<'d>) -> Result<(&'d str, &'d str), Error> {
    entry.without_nul()?;
    match entry.value.split_once('=') {
        Some(("", _)) => Err(entry.error(&format!("{:?} has no name before `=`", entry.value))),
        Some(pair) => Ok(pair),
        None => Err(entry.error(&format!("{:?} is not `NAME=VALUE`", entry.value))),
    }
}

/// Reads `/path?query` or `GET /path?query`, and gives it without the method.
fn warmup_request(entry: &Text<'_>) -> Result<String, Error> {
    let text = entry.value;
    let target = text.strip_prefix("GET ").unwrap_or(text);
    if !target.starts_with('/') {
        return Err(entry.error(&format!("{text:?} is not a request such as \"/path?query\" or \"GET /path\"")));
    }
    let mut escapes = target.split('%').skip(1).map(|rest| rest.bytes().take(2));
    let escaped = escapes.all(|mut digits| digits.len() == 2 && digits.all(|digit| digit.is_ascii_hexdigit()));
    if !escaped || !target.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte)) {
        return Err(entry.error(&format!("{text:?} has characters that must be percent-encoded in a URL")));
    }
    Ok(target.to_owned())
}

/// The only dialect: CGI as in RFC 3875.
const DIALECT: &str = "rfc-3875";

/// Its name in the first packages.
const OLDER_DIALECT: &str = "wcgi";

/// The keys of an annotation. The last ones exist in the wild and have no effect here.
const SETTINGS: &[&str] = &[
    "dialect",
    "atom",
    "env",
    "main-args",
    "main_args",
    "cwd",
    "exec-name",
    "exec_name",
    "package",
    "mount-atom-in-volume",
    "mount_atom_in_volume",
];

/// Further keys of the `wcgi` table.
const WCGI_SETTINGS: &[&str] = &["https", "network", "pass_authorization", "site", "snapshot", "trusted_proxies"];

/// Names of annotations: ours, and those of other runners and registries, which are ignored.
const RUNNERS: &[&str] = &["wasi", "wcgi", "emscripten", "wasm4", "wapm", "wasmer"];
