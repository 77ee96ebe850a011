//! Guests in Rust: one Cargo package, built for `wasm32-wasip1` by rustup's compiler when that has or gets the target, else
//! by Debian's (`crates/xtask/wasi/debian-rust.sh`).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

use super::guest::{Guest, files, install};
use crate::compiler::Compiler;
use crate::fetch::Unavailable;
use crate::program;
use crate::stamp::{self, Stamp};
use crate::workspace::Workspace;

/// Builds all of them when one is not up to date; says how many were not.
pub(super) fn build(workspace: &Workspace, guests: &[Guest]) -> Result<usize> {
    let package = workspace.guest_sources().join("rust");
    let mut stamp = Stamp::default().text(&compiler_version()?);
    for directory in [package.clone(), package.join("src"), package.join("src/bin")] {
        stamp = files(&directory)?.iter().try_fold(stamp, |stamp, source| stamp.file(source))?;
    }
    let stamp = with_wcgi_guest(workspace, stamp)?.finish();
    let output = |guest: &Guest| workspace.guests().join(&guest.name).with_extension("wasm");
    let stale: Vec<_> = guests.iter().filter(|&guest| !stamp::is_current(&output(guest), &stamp)).collect();
    if stale.is_empty() {
        return Ok(0);
    }

    println!("guests: compiling {} in Rust", stale.len());
    let target = workspace.guests_rust();
    cargo_build(workspace, &package, &target, &["--locked"])?;
    for guest in &stale {
        let built = target.join(TARGET).join("release").join(&guest.name).with_extension("wasm");
        // A copy, for what Cargo leaves here is a hard link to what it keeps for itself.
        let unfinished = output(guest).with_extension("wasm.unfinished");
        fs::copy(&built, &unfinished).with_context(|| format!("cannot read {}", built.display()))?;
        install(&unfinished, &output(guest), &stamp)?;
    }
    Ok(stale.len())
}

/// Builds a Cargo package for the target, with its outputs in `output/wasm32-wasip1/release`.
pub(super) fn cargo_build(workspace: &Workspace, package: &Path, output: &Path, more: &[&str]) -> Result<()> {
    Toolchain::find(workspace)?.build(package, TARGET, output, more)
}

/// Builds the library `name` of `package` and says where it is, and whether it is a component.
pub(super) fn build_library(workspace: &Workspace, package: &Path, name: &str) -> Result<(PathBuf, bool)> {
    let is_component = has_target(COMPONENT_TARGET)?;
    let (toolchain, target) =
        if is_component { (Toolchain::Installed, COMPONENT_TARGET) } else { (Toolchain::find(workspace)?, TARGET) };
    let output = workspace.guests_rust();
    toolchain.build(package, target, &output, &["--locked"])?;
    Ok((output.join(target).join("release").join(name).with_extension("wasm"), is_component))
}

/// The compiler, as far as it decides what is built.
pub(super) fn compiler_version() -> Result<String> {
    program::capture(Command::new(rustc()).arg("-V"))
}

/// Adds the crate of this repository that guests are made with.
pub(super) fn with_wcgi_guest(workspace: &Workspace, mut stamp: Stamp) -> Result<Stamp> {
    let package = workspace.wcgi_guest();
    for directory in [package.clone(), package.join("src"), package.join("src/exchange")] {
        stamp = files(&directory)?.iter().try_fold(stamp, |stamp, source| stamp.file(source))?;
    }
    Ok(stamp)
}

/// Who compiles.
enum Toolchain {
    /// The compiler Cargo uses by itself has a std for the target.
    Installed,
    /// Debian's compiler, unpacked in this directory.
    Debian(PathBuf),
}

impl Toolchain {
    fn build(&self, package: &Path, target: &str, output: &Path, more: &[&str]) -> Result<()> {
        let cargo = |command: &str| {
            let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.current_dir(package).args([command, "--quiet", "--target", target]).args(more);
            cargo.env("CARGO_TARGET_DIR", output).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
            cargo
        };
        program::run(&mut cargo("fetch"))
            .context(Unavailable("Cargo cannot fetch the crates that a program in Rust needs".to_owned()))?;
        let mut build = cargo("build");
        self.export_to(&mut build)?;
        program::run(build.args(["--release", "--offline"]))
    }

    fn find(workspace: &Workspace) -> Result<Self> {
        if has_target(TARGET)? {
            return Ok(Self::Installed);
        }
        println!("guests: adding {TARGET} to the Rust toolchain");
        let added = program::capture(Command::new("rustup").args(["target", "add", TARGET]));
        match added {
            Ok(_) if has_target(TARGET)? => Ok(Self::Installed),
            Ok(_) => bail!("rustup added {TARGET}, but to another toolchain than {}", rustc().display()),
            Err(refused) => {
                println!("guests: rustup cannot ({})", first_line(&refused));
                Self::debian(workspace).context(Unavailable(format!(
                    "there is no Rust std for {TARGET}: `rustup target add {TARGET}` fails, and so does Debian's package of it"
                )))
            }
        }
    }

    fn debian(workspace: &Workspace) -> Result<Self> {
        let script = workspace.wasi().join("debian-rust.sh");
        let stamp = Stamp::default().file(&script)?.file(&workspace.wasi().join("shim.c"))?.finish();
        let directory = workspace.toolchains().join("rust-debian");
        if !stamp::is_current(&directory, &stamp) {
            println!("guests: fetching Debian's Rust compiler and building its std (140 MB and a minute, once)");
            if directory.exists() {
                fs::remove_dir_all(&directory)?;
            }
            let mut command = Command::new("bash");
            command.arg(&script).arg(&directory).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
            Compiler::find(workspace)?.export_to(&mut command);
            program::run(&mut command)?;
            stamp::write(&directory, &stamp)?;
        }
        Ok(Self::Debian(directory))
    }

    fn export_to(&self, cargo: &mut Command) -> Result<()> {
        let Self::Debian(directory) = self else { return Ok(()) };
        let flag = |before: &str, path: &Path| [OsStr::new(before), path.as_os_str()].join(OsStr::new(""));
        let flags = [
            OsString::from("--sysroot"),
            directory.join("sysroot").into_os_string(),
            flag("-Clinker=", &linker()?),
            flag("-Clink-arg=", &directory.join("shim.o")),
        ];
        cargo.env("RUSTC", directory.join("rustc")).env("CARGO_ENCODED_RUSTFLAGS", flags.join(OsStr::new("\u{1f}")));
        Ok(())
    }
}

/// The linker that the usual compiler brings; Debian's has none for WebAssembly.
fn linker() -> Result<PathBuf> {
    let sysroot = program::capture(Command::new(rustc()).args(["--print", "sysroot"]))?;
    let version = program::capture(Command::new(rustc()).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let linker = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin/rust-lld");
    if !linker.exists() {
        bail!("the Rust toolchain brings no linker: {} is not there", linker.display());
    }
    Ok(linker)
}

/// Whether the compiler has a std for `target`.
fn has_target(target: &str) -> Result<bool> {
    let libraries = program::capture(Command::new(rustc()).args(["--print", "target-libdir", "--target", target]))?;
    Ok(Path::new(libraries.trim()).join("self-contained").exists())
}

fn rustc() -> OsString {
    env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

fn first_line(error: &anyhow::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

const TARGET: &str = "wasm32-wasip1";
const COMPONENT_TARGET: &str = "wasm32-wasip2";
