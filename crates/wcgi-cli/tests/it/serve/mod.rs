//! `wcgi serve`: many sites by a configuration file.

mod admin;
mod cache;
mod check;
mod cron;
mod log;
mod packages;
mod reload;
mod sites;
mod sockets;
mod tls;

use std::fs;
use std::path::Path;

use wcgi_tests::guest;

use crate::process::{Serving, wcgi};

/// A directory with a configuration of these lines. `GUEST(x)` in them is the path of the guest `x`, `CACHE` a line
/// for the tests' own cache.
pub(crate) fn configured(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), text);
    dir
}

pub(crate) fn write(dir: &Path, text: &str) {
    let mut text = text.replace("CACHE", &format!("cache_dir = {:?}", wcgi_tests::cache_dir()));
    while let Some((before, after)) = text.split_once("GUEST(") {
        let (name, rest) = after.split_once(')').unwrap();
        text = format!("{before}{:?}{rest}", guest(name));
    }
    fs::write(dir.join("wcgi.toml"), text).unwrap();
}

/// `wcgi serve` in `dir`.
pub(crate) fn serve(dir: &Path, arguments: &[&str]) -> Serving {
    let mut command = wcgi(&["serve"]);
    command.args(arguments).current_dir(dir);
    Serving::spawn(command)
}

/// A site of one guest, listening on a free port.
pub(crate) const FREE: &str = "[server]\nlisten = ['127.0.0.1:0']\n[engine]\nCACHE\n";

/// The value of a variable in a response of the guest `env`.
pub(crate) fn variable<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    response.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}
