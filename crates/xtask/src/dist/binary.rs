//! The program, linked statically with musl, so that it runs on any Linux and in an empty image.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::release::Arch;
use crate::compiler::zig;
use crate::program;
use crate::workspace::Workspace;

/// Builds it for `arch`. Zig compiles what is written in C. Rust brings its own linker and start files for musl.
pub(super) fn build(workspace: &Workspace, arch: &Arch) -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-musl", arch.name);
    program::run(Command::new("rustup").args(["target", "add", &target]))
        .with_context(|| format!("Rust's library for {target} is needed"))?;
    let folder = workspace.toolchains().join("musl");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let zig = zig(workspace)?;
    // Crates in C call it by one name, with the target in Rust's spelling among its arguments.
    let call = |tool: &str, rest: &str| -> Result<PathBuf> {
        let script = folder.join(format!("{tool}-{}", arch.name));
        let text = format!("#!/bin/sh\n{rest}exec {:?} {tool} \"$@\"\n", zig.display().to_string());
        fs::write(&script, text).with_context(|| format!("cannot write {}", script.display()))?;
        #[cfg(unix)]
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(script)
    };
    let drop_target = format!(
        "for argument do\n  shift\n  case $argument in --target=*) ;; *) set -- \"$@\" \"$argument\" ;; esac\ndone\n\
         set -- -target {}-linux-musl \"$@\"\n",
        arch.name
    );
    let (compiler, archiver) = (call("cc", &drop_target)?, call("ar", "")?);
    let variable = |name: &str| format!("{name}_{}", target.replace('-', "_"));
    let linker = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
    let cache = workspace.toolchains().join("zig-cache");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace.root()).args(["build", "--locked", "--profile", "dist", "--package", "wcgi-cli"]);
    cargo.args(["--target", &target]).env("CARGO_TARGET_DIR", workspace.root().join("target"));
    cargo.env(variable("CC"), &compiler).env(variable("AR"), archiver).env(linker, "rust-lld");
    cargo.env("CARGO_PROFILE_DIST_STRIP", "symbols").env("CARGO_PROFILE_DIST_DEBUG", "false");
    cargo.env("ZIG_GLOBAL_CACHE_DIR", &cache).env("ZIG_LOCAL_CACHE_DIR", &cache);
    program::run(&mut cargo)?;
    Ok(workspace.root().join("target").join(target).join("dist/wcgi"))
}
