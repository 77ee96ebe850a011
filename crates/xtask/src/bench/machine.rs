//! What a run was made on and with: figures without it say nothing.

use std::fs;
use std::process::Command;

use super::peers;
use super::setting::Setting;
use crate::program;

/// Names and values, in the order in which they are printed.
pub(crate) fn describe(setting: &Setting<'_>) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("processor", format!("{}, {} cores", field("/proc/cpuinfo", "model name"), setting.cores)),
        ("memory", field("/proc/meminfo", "MemTotal")),
        ("kernel", read("/proc/sys/kernel/osrelease")),
        (
            "load before the run (1, 5, 15 minutes)",
            read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
        ),
        ("commit", commit(setting)),
        ("rustc", output(Command::new("rustc").arg("--version"))),
        ("wasmtime", locked(setting, "wasmtime")),
        ("axum", locked(setting, "axum")),
        ("rounds", setting.rounds.to_string()),
        ("one load, seconds", setting.duration.as_secs().to_string()),
    ];
    for name in ["wrk", "lighttpd", "nginx", "php-cgi", "php-fpm"] {
        facts.push((name, peers::version(name).unwrap_or_else(|| "not there".to_owned())));
    }
    facts
}

/// A value of a file of `NAME: VALUE` lines.
fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    line.unwrap_or("unknown").trim().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn commit(setting: &Setting<'_>) -> String {
    let git = |arguments: &[&str]| output(Command::new("git").current_dir(setting.workspace.root()).args(arguments));
    let changed =
        if git(&["status", "--porcelain", "--untracked-files=no"]).is_empty() { "" } else { ", changed since" };
    format!("{}{changed}", git(&["rev-parse", "--short=12", "HEAD"]))
}

fn output(command: &mut Command) -> String {
    program::capture(command).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// The version of a package in `Cargo.lock`.
fn locked(setting: &Setting<'_>, package: &str) -> String {
    let lock = read(&setting.workspace.root().join("Cargo.lock").to_string_lossy());
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name).skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = "));
    version.unwrap_or("unknown").trim_matches('"').to_owned()
}
