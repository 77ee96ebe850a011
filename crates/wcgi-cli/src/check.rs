//! `wcgi check`: what a package's snapshot keeps of random numbers, the time and the environment.

use tower_wcgi::Engine;

use crate::arguments::Check;
use crate::log::Log;
use crate::report::{data, size};
use crate::run::package;

/// Prints the findings. True if there are none.
pub(crate) fn run(arguments: Check, log: &Log) -> anyhow::Result<bool> {
    // No address has to come first.
    log.release();
    let name = arguments.package.package.display().to_string();
    let (builder, _registry) = package(arguments.package, Engine::builder().max_concurrency(1).threads(1))?;
    let report = builder.check_snapshot()?;
    let (bytes, spans) = report.data();
    let mut text = format!("snapshot of {name}:  {} of memory in {spans} spans\n", size(bytes));
    let captured = report.captured();
    if captured.is_empty() {
        text += "nothing in it depends on random numbers, the time or the environment\n";
    } else {
        text += &format!("{:<12}{:>12}{:>10}\n", "depends on", "address", "bytes");
    }
    for captured in captured.iter().take(MOST) {
        let (address, bytes) = match captured.addresses() {
            Some(addresses) => (format!("{:#x}", addresses.start), addresses.len().to_string()),
            None => ("a global".to_owned(), String::new()),
        };
        let line = format!("{:<12}{address:>12}{bytes:>10}", captured.cause().as_str());
        text += &format!("{}\n", line.trim_end());
    }
    if captured.len() > MOST {
        text += &format!("and {} more\n", captured.len() - MOST);
    }
    data(&text)?;
    Ok(captured.is_empty())
}

const MOST: usize = 100;
