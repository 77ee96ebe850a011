//! A package for Debian: the program, the units of systemd, an example of a configuration.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::release::{ABOUT, Arch, HOMEPAGE, Release, copy_program};
use crate::program;

pub(super) fn make(release: &Release<'_>, arch: &Arch, program: &Path) -> Result<()> {
    let staging = release.staging("deb")?;
    copy_program(program, &staging.join("usr/bin/wcgi"))?;
    let root = release.workspace.root();
    let install = |from: &str, to: &str| -> Result<()> {
        let to = staging.join(to);
        fs::create_dir_all(to.parent().context("it has a parent")?)?;
        fs::copy(root.join(from), &to).with_context(|| format!("cannot copy {from}"))?;
        Ok(())
    };
    install("deploy/systemd/wcgi.service", "usr/lib/systemd/system/wcgi.service")?;
    install("deploy/systemd/wcgi.socket", "usr/lib/systemd/system/wcgi.socket")?;
    install("LICENSE-MIT", "usr/share/doc/wcgi/LICENSE-MIT")?;
    install("LICENSE-APACHE", "usr/share/doc/wcgi/LICENSE-APACHE")?;
    let bytes = fs::metadata(program)?.len();
    let control = format!(
        "Package: wcgi\nVersion: {}\nArchitecture: {}\nMaintainer: The tower-wcgi developers <wcgi@invalid>\n\
         Section: httpd\nPriority: optional\nHomepage: {HOMEPAGE}\nInstalled-Size: {}\nDescription: {ABOUT}\n \
         Each request gets a fresh instance with limits on time, memory and files.\n",
        release.version,
        arch.debian,
        bytes.div_ceil(1024)
    );
    fs::create_dir_all(staging.join("DEBIAN"))?;
    fs::write(staging.join("DEBIAN/control"), control)?;
    let mut build = Command::new("dpkg-deb");
    // What it has no other time for gets this one.
    build.env("SOURCE_DATE_EPOCH", "0").args(["--root-owner-group", "-Zxz", "--build"]).arg(&staging);
    program::run(build.arg(release.file(&format!("wcgi_{}_{}.deb", release.version, arch.debian))))
}
