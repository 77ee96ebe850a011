//! PHP applications of which Debian has binary packages: Adminer for `examples/adminer`, DokuWiki for `examples/dokuwiki`.
//! Their own settings lie in the examples and are committed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::fetch::Debian;
use crate::program;
use crate::stamp::{self, Stamp};
use crate::workspace::Workspace;

/// Puts the applications there, if they are not. Where there is no Debian it says so: then their tests fail, and nothing
/// else does.
pub(crate) fn assemble(workspace: &Workspace) {
    for (name, assemble) in [("adminer", adminer as fn(&Workspace) -> Result<()>), ("dokuwiki", dokuwiki)] {
        if let Err(error) = assemble(workspace) {
            println!("{name}: {error:#}\n{name}: examples/{name} is left out, and its tests fail");
        }
    }
}

fn adminer(workspace: &Workspace) -> Result<()> {
    let example = workspace.examples().join("adminer");
    once(workspace, &example.join("adminer"), |unpacked, output| {
        unpack(workspace, &[ADMINER], unpacked)?;
        rename(&unpacked.join("usr/share/adminer"), output)
    })
}

/// As upstream lays it out, with `conf` and `data` in the document root; Debian spreads it. Its libraries stay below
/// `/usr/share`, where Debian's DokuWiki looks for them.
fn dokuwiki(workspace: &Workspace) -> Result<()> {
    let example = workspace.examples().join("dokuwiki");
    once(workspace, &example.join("app"), |unpacked, output| {
        unpack(workspace, &DOKUWIKI, unpacked)?;
        let app = unpacked.join("usr/share/dokuwiki");
        // A link to Debian's settings of Apache, and what makes DokuWiki look for its own in /etc.
        for file in [".htaccess", "inc/preload.php", "lib/plugins", "lib/tpl"] {
            fs::remove_file(app.join(file)).with_context(|| format!("cannot remove {file}"))?;
        }
        let of_debian = unpacked.join("var/lib/dokuwiki");
        for directory in ["lib/plugins", "lib/tpl", "data"] {
            rename(&of_debian.join(directory), &app.join(directory))?;
        }
        // The accounts and rights of a wiki that is not installed yet: links to nothing.
        for file in ["acl.auth.php", "users.auth.php"] {
            fs::remove_file(unpacked.join("etc/dokuwiki").join(file))?;
        }
        rename(&unpacked.join("etc/dokuwiki"), &app.join("conf"))?;
        fs::write(app.join("conf/local.protected.php"), "<?php\n$conf['savedir'] = './data';\n")?;

        let share = example.join("share");
        remove(&share)?;
        fs::create_dir(&share)?;
        for library in ["php", "php-geshi", "javascript"] {
            rename(&unpacked.join("usr/share").join(library), &share.join(library))?;
        }
        rename(&app, output)
    })?;
    // What the wiki of `wcgi run examples/dokuwiki` keeps, which nothing here ever overwrites.
    let site = example.join("site");
    for directory in ["conf", "data"] {
        if !site.join(directory).exists() {
            fs::create_dir_all(&site)?;
            program::run(
                Command::new("cp").arg("-r").args([example.join("app").join(directory), site.join(directory)]),
            )?;
        }
    }
    Ok(())
}

/// Has `make` put `output` there, from a directory it may unpack into, unless it is there by this very recipe.
fn once(workspace: &Workspace, output: &Path, make: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<()> {
    let stamp = Stamp::default().text(include_str!("debian.rs")).finish();
    if stamp::is_current(output, &stamp) {
        println!("{} is there", workspace.relative(output));
        return Ok(());
    }
    let unpacked = output.with_extension("unpacked");
    remove(&unpacked)?;
    remove(output)?;
    make(&unpacked, output)?;
    remove(&unpacked)?;
    stamp::write(output, &stamp)?;
    println!("{} is ready", workspace.relative(output));
    Ok(())
}

fn unpack(workspace: &Workspace, packages: &[Debian], directory: &Path) -> Result<()> {
    for package in packages {
        let archive = package.fetch(workspace)?;
        program::run(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(directory))?;
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot move {} to {}", from.display(), to.display()))
}

fn remove(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(())
}

const ADMINER: Debian = Debian {
    name: "adminer",
    pin: Some(("4.8.1-1", "a29c3f34176f6322febada4f47412d6fbfd20760c7abd190276a7529e10ae5c7")),
};

/// DokuWiki and the libraries it names.
const DOKUWIKI: [Debian; 7] = [
    Debian {
        name: "dokuwiki",
        pin: Some(("0.0.20220731.a-2", "7c96577fdbb0045efbe47be3f68390fb7302dd938fb9ae3f4c79103be4743f32")),
    },
    Debian {
        name: "libphp-simplepie",
        pin: Some(("1.3.1+dfsg-5", "e7752b87a2c7339927087aab343c5a1e03a3a94d9c7f86458be99d581cbc995f")),
    },
    Debian {
        name: "php-geshi",
        pin: Some(("1.0.9.1-1", "b078a4b32371e9d6807fc6da1b41674036df4937046dffe4882c2d402dc5561f")),
    },
    Debian { name: "php-phpseclib", pin: None },
    Debian {
        name: "libjs-jquery",
        pin: Some(("3.6.1+dfsg+~3.5.14-1", "a58c9ff6afe96c769cb6535754c909410760e4efa1e1540236194e489adcfb25")),
    },
    Debian {
        name: "libjs-jquery-cookie",
        pin: Some(("12-4", "6441eb2209c04651de7c87c5be887b0a761616965146a8923276440349e00174")),
    },
    Debian {
        name: "libjs-jquery-ui",
        pin: Some(("1.13.2+dfsg-1", "10e19573adde01d1276ddb4cf0453fbfb070b9b867162b6f7f10708b0631d369")),
    },
];
