//! `wcgi build`: writes a package that begins where the start-up of another ended, and prints its contents.

use std::time::Instant;

use tower_wcgi::{Access, Engine};

use crate::arguments::{Build, MapDir, Package};
use crate::log::Log;
use crate::report::{data, size};
use crate::run::package;

pub(crate) fn run(arguments: Build, log: &Log) -> anyhow::Result<()> {
    // No address has to come first.
    log.release();
    let begin = Instant::now();
    let output = arguments.output;
    let from = arguments.package.package.display().to_string();
    let needed = needed(&arguments.package);
    // One instance at a time is enough for a start-up. Settings that decide the code are those of `wcgi run`.
    let (builder, _registry) = package(arguments.package, Engine::builder().max_concurrency(1).threads(1))?;
    let exported = if arguments.aot { builder.export_compiled(&output)? } else { builder.export(&output)? };

    let output = output.display();
    let mut text = format!("built {output} from {from} in {:.1} s\n", begin.elapsed().as_secs_f64());
    let (bytes, spans) = exported.data();
    let kind = if exported.is_snapshot() { "snapshot" } else { "module" };
    text += &format!("{kind}:  {}, {} of memory in {spans} spans\n", size(exported.module_bytes()), size(bytes));
    if let Some(code) = exported.code_bytes() {
        text += &format!("compiled:  {}, for this version and kind of host\n", size(code));
    }
    let (count, bytes) = exported.files();
    if count > 0 {
        text += &format!("files:  {count}, {}\n", size(usize::try_from(bytes).unwrap_or(usize::MAX)));
    }
    let trust = if exported.code_bytes().is_some() { "--trust-precompiled " } else { "" };
    text += &format!("serve it:  wcgi run {trust}{needed}{output}\n");
    data(&text)
}

/// The options with which the new package must be served, because it was built with them.
fn needed(package: &Package) -> String {
    let mounts = package.mapdir.iter().map(|MapDir { guest, host, access }| {
        let access = if *access == Access::ReadOnly { ":ro" } else { "" };
        format!("--mapdir {guest}:{}{access} ", host.display())
    });
    let memory = (package.max_memory != DEFAULT_MAX_MEMORY).then(|| format!("--max-memory {} ", package.max_memory));
    mounts.chain(memory).collect()
}

/// The default of `--max-memory`.
const DEFAULT_MAX_MEMORY: u64 = 256 << 20;
