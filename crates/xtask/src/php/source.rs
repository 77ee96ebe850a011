//! What php-cgi is built from: source packages of Debian, as their authors made them, and SQLite's amalgamation out of a crate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::fetch::{Crate, DebianSource};
use crate::program;
use crate::sources::SQLITE;
use crate::workspace::Workspace;

/// The sources that end up in one directory.
pub(super) struct Source {
    /// What `build.sh` calls it.
    directory: &'static str,
    from: From,
}

enum From {
    Debian(DebianSource),
    /// A directory of a crate.
    Crate(Crate, &'static str),
}

impl Source {
    /// An archive, or the directory with the files.
    pub(super) fn fetch(&self, workspace: &Workspace) -> Result<PathBuf> {
        match &self.from {
            From::Debian(package) => package.fetch(workspace),
            From::Crate(package, directory) => Ok(package.fetch(workspace)?.join(directory)),
        }
    }

    /// Puts the files of what was fetched in a directory of this name below `parent`.
    pub(super) fn unpack(&self, fetched: &Path, parent: &Path) -> Result<()> {
        let directory = parent.join(self.directory);
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        match &self.from {
            From::Debian(_) => program::run(
                Command::new("tar")
                    .arg("-x")
                    .args(["--strip-components=1", "--no-same-owner"])
                    .arg("-C")
                    .arg(&directory)
                    .arg("-f")
                    .arg(fetched),
            ),
            From::Crate(..) => program::run(Command::new("cp").arg("-R").arg(fetched.join(".")).arg(&directory)),
        }
    }

    /// What decides the files.
    pub(super) fn recipe(&self) -> &str {
        match &self.from {
            From::Debian(package) => package.sha256,
            From::Crate(package, _) => package.sha256,
        }
    }
}

/// PHP is 8.2.32, of Debian 12: the security suite has a newer one, whose source is not to be had dependably.
pub(super) const SOURCES: [Source; 6] = [
    Source {
        directory: "php",
        from: From::Debian(DebianSource {
            name: "php8.2",
            suite: "bookworm",
            version: Some("8.2.32-1~deb12u1"),
            file: "php8.2_8.2.32.orig.tar.xz",
            sha256: "e02aa173c236c12791696254d607da680e6d5516f8f5c2339642de7c4f944bd2",
            megabytes: 12,
        }),
    },
    Source { directory: "sqlite", from: From::Crate(SQLITE, "sqlite3") },
    Source {
        directory: "zlib",
        from: From::Debian(DebianSource {
            name: "zlib",
            suite: "bookworm",
            version: None,
            file: "zlib_1.2.13.dfsg.orig.tar.bz2",
            sha256: "71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1",
            megabytes: 1,
        }),
    },
    Source {
        directory: "libpng",
        from: From::Debian(DebianSource {
            name: "libpng1.6",
            suite: "bookworm",
            version: None,
            file: "libpng1.6_1.6.39.orig.tar.gz",
            sha256: "a00e9d2f2f664186e4202db9299397f851aea71b36a35e74910b8820e380d441",
            megabytes: 2,
        }),
    },
    Source {
        directory: "libjpeg",
        from: From::Debian(DebianSource {
            name: "libjpeg-turbo",
            suite: "bookworm",
            version: None,
            file: "libjpeg-turbo_2.1.5.orig.tar.gz",
            sha256: "254f3642b04e309fee775123133c6464181addc150499561020312ec61c1bf7c",
            megabytes: 2,
        }),
    },
    Source {
        directory: "libxml2",
        from: From::Debian(DebianSource {
            name: "libxml2",
            suite: "bookworm",
            version: None,
            file: "libxml2_2.9.14+dfsg.orig.tar.xz",
            sha256: "4fe913dec8b1ab89d13b489b419a8203176ea39e931eaa0d25b17eafb9c279e9",
            megabytes: 2,
        }),
    },
];
