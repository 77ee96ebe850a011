//! The WordPress of `examples/wordpress`, made of what WordPress Playground publishes on npm: its PHP files, its static
//! files, and the plugin that stores in SQLite. What is our own (settings, `php.ini`) lies beside it and is committed.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use zip::ZipArchive;

use crate::fetch::Npm;
use crate::program;
use crate::stamp::{self, Stamp};
use crate::workspace::Workspace;

/// Puts `examples/wordpress/app` there, if it is not or was made by another recipe, and an empty folder for uploads.
pub(crate) fn assemble(workspace: &Workspace) -> Result<()> {
    let example = workspace.examples().join("wordpress");
    // A mount whose directory is missing is an error, and git keeps no empty ones.
    let uploads = example.join("uploads");
    fs::create_dir_all(&uploads).with_context(|| format!("cannot create {}", uploads.display()))?;
    let output = example.join("app");
    let stamp = Stamp::default().text(include_str!("wordpress.rs")).finish();
    if stamp::is_current(&output, &stamp) {
        println!("wordpress: {} is there", workspace.relative(&output));
        return Ok(());
    }

    let archive = PACKAGE.fetch(workspace)?;
    println!("wordpress: unpacking");
    let unfinished = example.join("app.unfinished");
    for path in [&unfinished, &output] {
        if path.exists() {
            fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    fs::create_dir_all(&unfinished).with_context(|| format!("cannot create {}", unfinished.display()))?;
    put_together(&archive, &unfinished)?;
    fs::rename(&unfinished, &output).with_context(|| format!("cannot write {}", output.display()))?;
    stamp::write(&output, &stamp)?;
    println!("wordpress: {} is ready", workspace.relative(&output));
    Ok(())
}

fn put_together(archive: &Path, app: &Path) -> Result<()> {
    // Every member is below three folders, as `package/public/wp-6.5/`.
    let members = [STATIC_FILES, PHP_FILES, SQLITE_PLUGIN];
    let mut tar = Command::new("tar");
    program::run(tar.arg("-xzf").arg(archive).arg("-C").arg(app).arg("--strip-components=3").args(members))?;
    // Themes of which there are only the static files.
    for theme in ["twentytwentytwo", "twentytwentythree"] {
        fs::remove_dir_all(app.join("wp-content/themes").join(theme))?;
    }
    unzip(&app.join(file_name(PHP_FILES)), app)?;
    let plugins = app.join("wp-content/plugins");
    unzip(&app.join(file_name(SQLITE_PLUGIN)), &plugins)?;
    let sqlite = plugins.join("sqlite-database-integration");
    fs::rename(plugins.join("sqlite-database-integration-main"), &sqlite)?;
    fs::copy(sqlite.join("db.copy"), app.join("wp-content/db.php"))?;

    // A ready-made data base, leftovers of how the archive was made, and what only developers of the plugin need.
    for folder in ["wp-content/database", "wp-content/plugins/sqlite-database-integration/.github"] {
        fs::remove_dir_all(app.join(folder))?;
    }
    for file in ["wordpress-remote-asset-paths", ".default_theme"] {
        fs::remove_file(app.join(file))?;
    }
    fs::write(app.join("wp-config.php"), WP_CONFIG)?;
    Ok(())
}

fn unzip(archive: &Path, directory: &Path) -> Result<()> {
    let mut zip =
        ZipArchive::new(File::open(archive)?).with_context(|| format!("cannot read {}", archive.display()))?;
    zip.extract(directory).with_context(|| format!("cannot unpack {}", archive.display()))?;
    fs::remove_file(archive)?;
    Ok(())
}

fn file_name(member: &str) -> &str {
    member.rsplit('/').next().unwrap_or(member)
}

const PACKAGE: Npm = Npm {
    name: "@wp-playground/wordpress-builds",
    version: "0.9.19",
    sha256: "e62ccde83c48571e7f38b46030f13a9a868e42086b1c7c80b54cde535edd114d",
    megabytes: 158,
};
const STATIC_FILES: &str = "package/public/wp-6.5";
const PHP_FILES: &str = "package/src/wordpress/wp-6.5.zip";
const SQLITE_PLUGIN: &str = "package/src/sqlite-database-integration/sqlite-database-integration.zip";

/// The settings are a committed file outside of the document root, mounted from beside `app`.
const WP_CONFIG: &str = "<?php\nrequire '/etc/wordpress/wp-config.php';\n";
