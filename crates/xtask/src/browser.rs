//! Chromium and chromedriver for the tests that look at pages as people do. Debian's packages where they can be installed,
//! else whatever is on the PATH.

use std::path::Path;
use std::process::Command;

use crate::fetch::apt_get;
use crate::program;

/// Installs them if they are missing, and says what is to be done where that is not possible: then those tests fail, and
/// nothing else does.
pub(crate) fn ensure() {
    if is_there() {
        println!("browser: chromedriver is there");
        return;
    }
    let install = ["install", "--yes", "--no-install-recommends"];
    let installed = apt_get(Path::new("."), &[&install[..], &PACKAGES[..]].concat());
    match installed {
        Ok(_) if is_there() => println!("browser: chromedriver is ready"),
        Ok(_) => println!("browser: chromedriver does not run; the tests in a browser will fail"),
        Err(error) => println!(
            "browser: {error:#}\nbrowser: install chromium and chromedriver (Debian: {}); the tests in a browser fail without",
            PACKAGES.join(", ")
        ),
    }
}

fn is_there() -> bool {
    program::capture(Command::new("chromedriver").arg("--version")).is_ok()
}

const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];
