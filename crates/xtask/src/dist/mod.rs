//! What a release consists of, made in `target/dist`: the program for each system, in the forms in which people install it.
//!
//! Archives are reproducible: names in order, times and owners zero. `--test` installs each form and runs it.

mod archive;
mod binary;
mod deb;
mod image;
mod npm;
mod release;
mod runtimes;
mod sbom;
mod try_out;
mod wheel;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use self::release::{Release, arch, version};
use crate::workspace::Workspace;

/// Options of `cargo xtask dist`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Build for this processor, repeatable: `x86_64` or `aarch64` [default: that of this machine]
    #[arg(long, value_name = "ARCH", conflicts_with = "binary")]
    arch: Vec<String>,
    /// Package this static program for this machine, and build none.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Install each artefact and run it.
    #[arg(long)]
    test: bool,
    /// Leave out the bill of materials, whose tool takes minutes to build.
    #[arg(long)]
    no_sbom: bool,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let directory = workspace.root().join("target/dist-release");
    if directory.exists() {
        fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let release = Release { workspace, version: version(workspace)?, directory };
    let own = arch(std::env::consts::ARCH)?;
    let wanted = match options.arch.as_slice() {
        [] => vec![own],
        names => names.iter().map(|name| arch(name)).collect::<Result<_>>()?,
    };
    for arch in wanted {
        let program = match &options.binary {
            Some(file) => file.clone(),
            None => binary::build(workspace, arch)?,
        };
        archive::make(&release, arch, &program)?;
        deb::make(&release, arch, &program)?;
        wheel::make(&release, arch, &program)?;
        npm::make_program(&release, arch, &program)?;
        image::make(&release, arch, &program)?;
        if arch.name == own.name {
            runtimes::make(&release, &program)?;
        }
    }
    npm::make_launcher(&release)?;
    if !options.no_sbom {
        sbom::make(&release)?;
    }
    release.checksums()?;
    if options.test {
        try_out::all(&release, own)?;
    }
    println!("dist: {} is ready", workspace.relative(&release.directory));
    Ok(())
}
