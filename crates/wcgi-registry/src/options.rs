//! Settings: where packages come from, who is believed, and how much is taken in.

use std::path::{Path, PathBuf};

use crate::error::{Error, package};
use crate::reference::Prefix;
use crate::signature::VerifyingKey;

/// Settings of a [`Registry`](crate::Registry).
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub(crate) registry: Option<Prefix>,
    pub(crate) plain_http: bool,
    pub(crate) docker_config: Option<PathBuf>,
    pub(crate) verify: Vec<VerifyingKey>,
    pub(crate) limits: Limits,
}

impl Options {
    /// Every setting at its default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the environment and the user's configuration say: [`registry`](Self::registry) from `$WCGI_REGISTRY`, else from
    /// `registry = "…"` in `wcgi/config.toml` of the user's configuration folder; [`docker_config`](Self::docker_config)
    /// from `$DOCKER_CONFIG`, else `~/.docker`.
    ///
    /// # Errors
    ///
    /// When the file or the variable cannot be used.
    pub fn from_environment() -> Result<Self, Error> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let home = variable("HOME").or_else(|| variable("USERPROFILE")).map(PathBuf::from);
        let mut options = Self::default();
        match variable("WCGI_REGISTRY") {
            Some(registry) => options = options.registry(&registry.to_string_lossy())?,
            None => {
                let folder = variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
                let folder = folder.or_else(|| variable("APPDATA").map(PathBuf::from));
                if let Some(folder) = folder.or_else(|| Some(home.as_ref()?.join(".config"))) {
                    options = options.read_file(&folder.join("wcgi/config.toml"))?;
                }
            }
        }
        options.docker_config = variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(home?.join(".docker")));
        Ok(options)
    }

    fn read_file(self, file: &Path) -> Result<Self, Error> {
        let shown = file.display();
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(self),
            Err(error) => return Err(package(format!("cannot read {shown}")).with_source(error)),
        };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            package(format!("{shown}: not TOML: {}", error.message().lines().next().unwrap_or_default()))
        })?;
        for key in table.keys().filter(|key| *key != "registry") {
            tracing::warn!("{shown}: unknown key {key:?}, ignored");
        }
        match table.get("registry") {
            None => Ok(self),
            Some(toml::Value::String(registry)) => {
                self.registry(registry).map_err(|error| package(format!("{shown}: registry: {error}")))
            }
            Some(other) => Err(package(format!("{shown}: registry: expected a string, found {}", other.type_str()))),
        }
    }

    /// Where packages are that name no registry: `HOST[:PORT][/PATH]`. Default: nowhere.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn registry(mut self, registry: &str) -> Result<Self, Error> {
        self.registry = Some(Prefix::parse(registry)?);
        Ok(self)
    }

    /// Whether a registry is set for packages that name none.
    #[must_use]
    pub fn has_registry(&self) -> bool {
        self.registry.is_some()
    }

    /// Whether registries on other machines are spoken to without TLS. Default: no. Loopback never needs TLS.
    #[must_use]
    pub fn plain_http(mut self, plain: bool) -> Self {
        self.plain_http = plain;
        self
    }

    /// The folder with Docker's `config.json`, which has passwords or names their helpers. Default: none.
    #[must_use]
    pub fn docker_config(mut self, folder: impl Into<PathBuf>) -> Self {
        self.docker_config = Some(folder.into());
        self
    }

    /// Refuses packages that none of these keys has signed. Default: no keys, nothing is refused.
    #[must_use]
    pub fn verify(mut self, keys: impl IntoIterator<Item = VerifyingKey>) -> Self {
        self.verify = keys.into_iter().collect();
        self
    }

    /// How large packages may be. Default: [`Limits::default`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// How much of a package is taken in.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub(crate) package_bytes: u64,
    pub(crate) files: u64,
    pub(crate) module_bytes: u64,
    pub(crate) manifest_bytes: u64,
    pub(crate) window_bytes: u64,
}

impl Default for Limits {
    /// A package has 1 GiB and 100,000 files unpacked, a module 256 MiB, a manifest 4 MiB, a zstd window 128 MiB.
    fn default() -> Self {
        Self {
            package_bytes: 1 << 30,
            files: 100_000,
            module_bytes: 256 << 20,
            manifest_bytes: 4 << 20,
            window_bytes: 128 << 20,
        }
    }
}

impl Limits {
    /// All files of a package together, unpacked. Default: 1 GiB.
    #[must_use]
    pub fn package_bytes(mut self, bytes: u64) -> Self {
        self.package_bytes = bytes;
        self
    }

    /// How many files and directories a package may have. Default: 100,000.
    #[must_use]
    pub fn files(mut self, files: u64) -> Self {
        self.files = files;
        self
    }

    /// One module. Default: 256 MiB.
    #[must_use]
    pub fn module_bytes(mut self, bytes: u64) -> Self {
        self.module_bytes = bytes;
        self
    }

    /// A manifest, that of the image and that of the package alike. Default: 4 MiB.
    #[must_use]
    pub fn manifest_bytes(mut self, bytes: u64) -> Self {
        self.manifest_bytes = bytes;
        self
    }

    /// The memory that zstd may need to unpack. Default: 128 MiB.
    #[must_use]
    pub fn window_bytes(mut self, bytes: u64) -> Self {
        self.window_bytes = bytes;
        self
    }

    /// As zstd counts it, rounded down.
    pub(crate) fn window_log(&self) -> u32 {
        self.window_bytes.max(1).ilog2().clamp(10, 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_file_names_the_registry() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        assert_eq!(Options::new().read_file(&file).unwrap().registry, None);
        std::fs::write(&file, "registry = 'localhost:5000/team'\nother = 1\n").unwrap();
        let registry = Options::new().read_file(&file).unwrap().registry;
        assert_eq!(registry, Some(Prefix::parse("localhost:5000/team").unwrap()));
        for text in ["registry = 1", "registry = 'http://x'", "registry"] {
            std::fs::write(&file, text).unwrap();
            let error = Options::new().read_file(&file).unwrap_err();
            assert!(error.to_string().contains("config.toml"), "{error}");
        }
    }

    #[test]
    fn a_window_is_a_power_of_two() {
        assert_eq!(Limits::default().window_log(), 27);
        assert_eq!(Limits::default().window_bytes((1 << 20) + 1).window_log(), 20);
        assert_eq!(Limits::default().window_bytes(0).window_log(), 10);
    }
}
