//! Each artefact installed as its users do, and run: it says its version and serves a page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::release::{Arch, Release};
use crate::bench::client::{self, Url};
use crate::bench::process::{Output, Server};
use crate::program;

pub(super) fn all(release: &Release<'_>, arch: &Arch) -> Result<()> {
    let forms: [(&str, Install); 4] = [("archive", archive), ("deb", deb), ("wheel", wheel), ("npm", npm)];
    for (form, install) in forms {
        let wcgi = install(release, arch).with_context(|| format!("{form}: cannot be installed"))?;
        works(release, &wcgi).with_context(|| format!("{form}: {}", wcgi.display()))?;
        println!("dist: the {form} installs and serves");
    }
    image(release, arch).context("image")?;
    runtimes(release, arch).context("runtimes")
}

/// Installs an artefact, and gives the program.
type Install = fn(&Release<'_>, &Arch) -> Result<PathBuf>;

fn works(release: &Release<'_>, wcgi: &Path) -> Result<()> {
    let version = program::capture(Command::new(wcgi).arg("--version"))?;
    ensure!(version.trim() == format!("wcgi {}", release.version), "it says {version:?}");
    let mut run = Command::new(wcgi);
    run.args(["run", "--addr", "127.0.0.1:0", "--no-cache"]).arg(release.workspace.examples().join("hello"));
    let server = Server::start("wcgi", &mut run, Output::Stderr)?;
    client::check(Url { address: server.address, path: "/?name=Ada" }, "Ada")
}

fn archive(release: &Release<'_>, arch: &Arch) -> Result<PathBuf> {
    let folder = release.staging("try-archive")?;
    let name = format!("wcgi-{}-{}-linux", release.version, arch.name);
    let archive = release.file(&format!("{name}.tar.gz"));
    program::run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&folder))?;
    Ok(folder.join(name).join("wcgi"))
}

/// Installed by dpkg into a root of its own, so that nothing of this machine changes.
fn deb(release: &Release<'_>, arch: &Arch) -> Result<PathBuf> {
    let root = release.staging("try-deb")?;
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::write(root.join("var/lib/dpkg/status"), "")?;
    fs::write(root.join("var/lib/dpkg/available"), "")?;
    let package = release.file(&format!("wcgi_{}_{}.deb", release.version, arch.debian));
    let mut dpkg = Command::new("dpkg");
    dpkg.arg(format!("--root={}", root.display())).args(["--force-not-root", "--force-script-chrootless", "--install"]);
    program::capture(dpkg.arg(package))?;
    ensure!(root.join("usr/lib/systemd/system/wcgi.service").exists(), "the unit is not there");
    Ok(root.join("usr/bin/wcgi"))
}

fn wheel(release: &Release<'_>, arch: &Arch) -> Result<PathBuf> {
    let venv = release.staging("try-wheel")?;
    program::capture(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let platform = format!("manylinux_2_17_{0}.manylinux2014_{0}.musllinux_1_1_{0}", arch.name);
    let wheel = release.file(&format!("wcgi-{}-py3-none-{platform}.whl", release.version));
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check"]);
    program::capture(pip.arg(wheel))?;
    Ok(venv.join("bin/wcgi"))
}

fn npm(release: &Release<'_>, arch: &Arch) -> Result<PathBuf> {
    let folder = release.staging("try-npm")?;
    fs::write(folder.join("package.json"), "{\"private\": true}\n")?;
    let file = |name: &str| release.file(&format!("npm-{name}-{}.tgz", release.version));
    let mut npm = Command::new("npm");
    npm.current_dir(&folder).args(["install", "--silent", "--no-audit", "--no-fund", "--prefer-offline"]);
    program::capture(npm.arg(file(&format!("wcgi-linux-{}", arch.npm))).arg(file("wcgi")))?;
    Ok(folder.join("node_modules/.bin/wcgi"))
}

/// By podman, where there is one. An image from scratch runs nothing that is not static.
fn image(release: &Release<'_>, arch: &Arch) -> Result<()> {
    let has = Command::new("podman").arg("--version").stdout(Stdio::null()).status().is_ok_and(|it| it.success());
    if !has {
        println!("dist: there is no podman, so the image is not run");
        return Ok(());
    }
    let archive = release.file(&format!("wcgi-{}-{}-image.tar", release.version, arch.name));
    let mut run = Command::new("podman");
    run.args(["run", "--rm", "--network", "none", "--read-only"]).arg(format!("oci-archive:{}", archive.display()));
    let version = program::capture(run.arg("--version"))?;
    ensure!(version.trim() == format!("wcgi {}", release.version), "it says {version:?}");
    println!("dist: the image runs");
    Ok(())
}

/// Added to an empty store by the program of the archive.
fn runtimes(release: &Release<'_>, arch: &Arch) -> Result<()> {
    let wcgi = archive(release, arch)?;
    let cache = release.staging("try-runtimes")?;
    for entry in fs::read_dir(&release.directory)? {
        let file = entry?.path();
        let Some(name) = file.file_stem().and_then(|name| name.to_str()) else { continue };
        if file.extension().is_none_or(|extension| extension != "webc") {
            continue;
        }
        let reference = name.replacen('-', ":", 1);
        let mut add = Command::new(&wcgi);
        add.args(["runtime", "add", &reference]).arg(&file).arg("--cache-dir").arg(&cache);
        program::capture(&mut add)?;
        println!("dist: {reference} can be added");
    }
    Ok(())
}
