//! Archives of package registries, by version and checksum, through the registries' own clients. They are kept in
//! `target/downloads`, so that their products can be made again without fetching. Nothing fetched is committed.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::workspace::Workspace;
use crate::{program, stamp};

/// A package that a registry did not give. The programs built from it are not to blame.
#[derive(Debug)]
pub(crate) struct Unavailable(pub(crate) String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A package of the npm registry.
#[derive(Debug)]
pub(crate) struct Npm {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) sha256: &'static str,
    pub(crate) megabytes: u32,
}

/// A package of crates.io that carries the wanted sources, beside its Rust code.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// Of the archive.
    pub(crate) sha256: &'static str,
}

/// A binary package of Debian, for every architecture.
#[derive(Debug)]
pub(crate) struct Debian {
    pub(crate) name: &'static str,
    /// Version and checksum. None for a package with security updates, because mirrors have only the newest. apt checks its
    /// signature, as for all packages.
    pub(crate) pin: Option<(&'static str, &'static str)>,
}

/// The original archive in a source package of Debian: as its authors published it, without Debian's changes.
#[derive(Debug)]
pub(crate) struct DebianSource {
    pub(crate) name: &'static str,
    /// The release of Debian that has it. The machine may run any release.
    pub(crate) suite: &'static str,
    /// None if the archive stays the same while Debian's changes, and so the versions, come and go.
    pub(crate) version: Option<&'static str>,
    /// The archive's file name.
    pub(crate) file: &'static str,
    pub(crate) sha256: &'static str,
    pub(crate) megabytes: u32,
}

impl Npm {
    /// The archive, a gzipped tar with everything below `package/`.
    pub(crate) fn fetch(&self, workspace: &Workspace) -> Result<PathBuf> {
        let file = format!("{}-{}.tgz", self.name.trim_start_matches('@').replace('/', "-"), self.version);
        download(workspace, &file, self.sha256, |directory| {
            let package = format!("{}@{}", self.name, self.version);
            println!("fetching {package} by npm ({} MB, once)", self.megabytes);
            let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
            let packed =
                program::capture(Command::new(npm).current_dir(directory).args(["pack", "--silent", &package]));
            packed.map_err(|error| {
                let why =
                    if program::is_missing(&error) { "npm is needed; install Node.js" } else { "npm cannot fetch it" };
                error.context(Unavailable(why.to_owned()))
            })
        })
    }

    /// Puts one file of the package where `npm install` in `directory` would put it, and gives its path.
    pub(crate) fn install(&self, workspace: &Workspace, directory: &Path, file: &str) -> Result<PathBuf> {
        let archive = self.fetch(workspace)?;
        let package = directory.join("node_modules").join(self.name);
        create(&package)?;
        let mut tar = Command::new("tar");
        tar.current_dir(&package).args(["-x", "-z", "--strip-components=1", "-f"]);
        program::run(tar.arg(&archive).arg(format!("package/{file}")))?;
        Ok(package.join(file))
    }
}

impl Crate {
    /// The directory with its files, which Cargo has checked.
    pub(crate) fn fetch(&self, workspace: &Workspace) -> Result<PathBuf> {
        let Self { name, version, sha256 } = self;
        let directory = workspace.toolchains().join(format!("{name}-{version}"));
        let checksum = format!("\"package\":\"{sha256}\"");
        let is_meant = |directory: &Path| {
            fs::read_to_string(directory.join(".cargo-checksum.json")).is_ok_and(|list| list.contains(&checksum))
        };
        if is_meant(&directory) {
            return Ok(directory);
        }

        println!("fetching the sources in {name} {version} by cargo");
        let package = workspace.toolchains().join(format!("{name}-{version}.unfinished"));
        let _ = fs::remove_dir_all(&package);
        let _ = fs::remove_dir_all(&directory);
        create(&package)?;
        let manifest = package.join("Cargo.toml");
        let text = "[package]\nname = \"fetch\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n[dependencies]\n";
        fs::write(&manifest, format!("{text}{name} = \"={version}\"\n"))?;
        fs::write(package.join("lib.rs"), "")?;
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["vendor", "--quiet", "--manifest-path"]).arg(&manifest).arg(package.join("vendor"));
        program::capture(&mut cargo).context(Unavailable(format!("cannot fetch {name} {version} by cargo")))?;
        let vendored = package.join("vendor").join(name);
        if !is_meant(&vendored) {
            bail!("{name} {version} is not what it should be: its archive's SHA-256 is not {sha256}");
        }
        fs::rename(&vendored, &directory).with_context(|| format!("cannot write {}", directory.display()))?;
        fs::remove_dir_all(&package).with_context(|| format!("cannot remove {}", package.display()))?;
        Ok(directory)
    }
}

impl Debian {
    /// The archive, for `dpkg-deb`.
    pub(crate) fn fetch(&self, workspace: &Workspace) -> Result<PathBuf> {
        let Some((version, sha256)) = self.pin else {
            // Under a name that apt does not choose, the newest version is found again.
            let directory = workspace.downloads().join(self.name);
            return match only_file(&directory) {
                Some(file) => Ok(file),
                None => {
                    create(&directory)?;
                    apt_get(&directory, &["download", self.name])?;
                    only_file(&directory).with_context(|| format!("apt-get left no {}", self.name))
                }
            };
        };
        let file = format!("{}_{version}_all.deb", self.name);
        download(workspace, &file, sha256, |directory| {
            apt_get(directory, &["download", &format!("{}={version}", self.name)])
        })
    }
}

impl DebianSource {
    /// The archive: by its path in a mirror's pool, or by a list of sources, or out of the folder that `$WCGI_SOURCES` names.
    pub(crate) fn fetch(&self, workspace: &Workspace) -> Result<PathBuf> {
        download(workspace, self.file, self.sha256, |directory| {
            println!("fetching {} of Debian ({} MB)", self.file, self.megabytes);
            self.by_path(directory).or_else(|_| self.by_list(workspace, directory)).or_else(|error| {
                let folder = env::var_os("WCGI_SOURCES").map(PathBuf::from).ok_or(error)?;
                let kept = folder.join(self.file);
                fs::copy(&kept, directory.join(self.file))
                    .with_context(|| format!("cannot copy {}", kept.display()))?;
                Ok(String::new())
            })
        })
    }

    /// A pool keeps an archive for longer than lists name it.
    fn by_path(&self, directory: &Path) -> Result<String> {
        let letters = if self.name.starts_with("lib") { 4 } else { 1 };
        let folder = self.name.get(..letters).unwrap_or(self.name);
        let mut failure = anyhow!(Unavailable("apt-get names no mirror of Debian".to_owned()));
        for mirror in mirrors()? {
            let address = format!("{mirror}pool/main/{folder}/{}/{}", self.name, self.file);
            let mut helper = Command::new("/usr/lib/apt/apt-helper");
            helper.current_dir(directory).arg("--option=APT::Sandbox::User=root").args(["download-file", &address]);
            match program::capture(helper.arg(self.file).arg(format!("SHA256:{}", self.sha256))) {
                Ok(said) => return Ok(said),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Only the addresses of mirrors are taken from the system's apt settings, which need not list sources.
    fn by_list(&self, workspace: &Workspace, directory: &Path) -> Result<String> {
        let state = workspace.toolchains().join("debian-sources").join(self.suite);
        for needed in ["lists/partial", "cache/archives/partial"] {
            create(&state.join(needed))?;
        }
        let list = state.join("sources.list");
        let sources = self.sources_list()?;
        fs::write(&list, sources).with_context(|| format!("cannot write {}", list.display()))?;

        let setting = |name: &str, path: &Path| format!("--option=Dir::{name}={}", path.display());
        let options = [
            setting("Etc::SourceList", &list),
            setting("Etc::SourceParts", Path::new("/dev/null")),
            setting("State::Lists", &state.join("lists")),
            setting("Cache", &state.join("cache")),
            "--option=APT::Sandbox::User=root".to_owned(),
        ];
        let call = |arguments: &[&str]| {
            let mut apt_get = Command::new("apt-get");
            program::capture(apt_get.current_dir(directory).args(&options).args(arguments))
        };
        let package = self.version.map_or_else(|| self.name.to_owned(), |version| format!("{}={version}", self.name));
        let source = ["source", "--download-only", "--tar-only", &package];
        call(&source).or_else(|_| call(&["update"]).and_then(|_| call(&source))).map_err(|error| {
            let why =
                format!("apt-get cannot fetch the source of {package}, which is not on every mirror at all times");
            error.context(Unavailable(why))
        })
    }

    /// A list of sources for apt: the release, on the mirrors of this system's packages. Mirrors of security updates are left out,
    /// because they list archives that they do not have. The release has the same archives.
    fn sources_list(&self) -> Result<String> {
        let line = |mirror: &String| format!("deb-src [signed-by={DEBIAN_KEYS}] {mirror} {} main\n", self.suite);
        Ok(mirrors()?.iter().map(line).collect())
    }
}

/// The mirrors of this system's packages.
fn mirrors() -> Result<Vec<String>> {
    let list = ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian", "Label: Debian"];
    let mirrors = match apt_get(Path::new("."), &list) {
        Ok(mirrors) if mirrors.is_empty() => {
            apt_get(Path::new("."), &["update"]).and_then(|_| apt_get(Path::new("."), &list))
        }
        mirrors => mirrors,
    };
    let mirrors = mirrors.context(Unavailable("apt-get does not say where Debian's packages are".to_owned()))?;
    let mut mirrors: Vec<_> = mirrors.lines().map(str::to_owned).collect();
    mirrors.sort();
    mirrors.dedup();
    if mirrors.is_empty() {
        bail!(Unavailable("sources of Debian are only to be had on Debian".to_owned()));
    }
    Ok(mirrors)
}

/// The directory with the packages that `NAME-requirements.txt` of `crates/xtask/pip` names. pip fills it once per contents of
/// that file. Every line of the file has a version and the checksums of its archives.
pub(crate) fn pip(workspace: &Workspace, name: &str, megabytes: u32) -> Result<PathBuf> {
    let requirements = pip_requirements(workspace, name);
    let digest = stamp::sha256(&requirements)?;
    let directory = workspace.toolchains().join(format!("{name}-{}", digest.get(..12).unwrap_or(&digest)));
    if directory.exists() {
        return Ok(directory);
    }

    println!("fetching {name} by pip ({megabytes} MB, once)");
    let unfinished = directory.with_extension("unfinished");
    pip_install(&requirements, &unfinished)?;
    fs::rename(&unfinished, &directory).with_context(|| format!("cannot write {}", directory.display()))?;
    Ok(directory)
}

/// Makes `directory` anew, with the packages that a requirements file names by version and checksum.
pub(crate) fn pip_install(requirements: &Path, directory: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(directory);
    let mut pip = Command::new(if cfg!(windows) { "python" } else { "python3" });
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps"]);
    pip.arg("--require-hashes").arg("--target").arg(directory).arg("--requirement").arg(requirements);
    let failed = || Unavailable(format!("pip cannot fetch {}; Python 3 with pip is needed", requirements.display()));
    program::run(pip.env("PIP_ROOT_USER_ACTION", "ignore")).with_context(failed)
}

/// The file that decides the contents of [`pip`]'s directory.
pub(crate) fn pip_requirements(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.pip().join(format!("{name}-requirements.txt"))
}

/// Calls apt-get. If that fails, calls it again with new lists: missing or old lists are the usual reason.
pub(crate) fn apt_get(directory: &Path, arguments: &[&str]) -> Result<String> {
    println!("apt-get {}", arguments.join(" "));
    let call = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        program::capture(command.current_dir(directory).env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
    };
    call(arguments).or_else(|error| {
        if program::is_missing(&error) {
            return Err(error.context("apt-get is needed; Debian 12 has it"));
        }
        call(&["update"])?;
        call(arguments)
    })
}

/// The file called `file` in `target/downloads`. `fetch` makes it, unless it exists with this checksum.
fn download(
    workspace: &Workspace,
    file: &str,
    sha256: &str,
    fetch: impl FnOnce(&Path) -> Result<String>,
) -> Result<PathBuf> {
    let directory = workspace.downloads();
    let path = directory.join(file);
    if path.exists() && stamp::sha256(&path)? == sha256 {
        return Ok(path);
    }
    create(&directory)?;
    fetch(&directory)?;
    verify(&path, sha256)?;
    Ok(path)
}

/// Fails unless the file has the expected checksum.
pub(crate) fn verify(path: &Path, expected: &str) -> Result<()> {
    let found = stamp::sha256(path)?;
    if found != expected {
        bail!("{} is not what it should be: its SHA-256 is {found}, expected {expected}", path.display());
    }
    Ok(())
}

fn create(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))
}

fn only_file(directory: &Path) -> Option<PathBuf> {
    Some(fs::read_dir(directory).ok()?.next()?.ok()?.path())
}

const DEBIAN_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
