//! `wcgi build`: writes a package that begins where the start-up of another ended, and prints its contents.

use std::time::Instant;

use anyhow::Context as _;
use tower_wcgi::{Access, Engine};

use crate::arguments::{Build, MapDir, Package};
use crate::executable::writable_mounts;
use crate::executable::write::Target;
use crate::log::Log;
use crate::report::{data, size};
use crate::run::package;

pub(crate) fn run(arguments: Build, log: &Log) -> anyhow::Result<()> {
    // No address has to come first.
    log.release();
    let begin = Instant::now();
    if arguments.executable {
        return executable(arguments);
    }
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

/// Writes this program with the package behind it.
fn executable(arguments: Build) -> anyhow::Result<()> {
    let begin = Instant::now();
    let target = Target::new(&arguments.output)?;
    let from = arguments.package.package.display().to_string();
    let needed = needed(&Package { max_memory: DEFAULT_MAX_MEMORY, ..arguments.package.clone() });
    let max_memory = arguments.package.max_memory;
    let staging = tempfile::tempdir().context("cannot make a temporary folder")?;
    let staged = staging.path().join("package");
    let (builder, _registry) = package(arguments.package, Engine::builder().max_concurrency(1).threads(1))?;
    let exported = builder.export_compiled(&staged)?;
    // What a script has written is no part of what is given away.
    let writable = writable_mounts(&staged)?;
    let left_out: Vec<_> = writable.iter().map(|(_, directory)| directory.clone()).collect();
    let bytes = target.write(&staged, &left_out, max_memory)?;

    let output = arguments.output.display();
    let mut text = format!("built {output} from {from} in {:.1} s\n", begin.elapsed().as_secs_f64());
    text += &format!("program:  {}, for this kind of host\n", size(usize::try_from(bytes).unwrap_or(usize::MAX)));
    if exported.is_snapshot() {
        text += "snapshot:  its start-up is done\n";
    }
    let given = |guest: &String| needed.contains(&format!("--mapdir {guest}:"));
    let wanted = writable.iter().filter(|(guest, _)| !given(guest)).map(|(guest, _)| format!("--mapdir {guest}:DIR "));
    let options = format!("{}{needed}", wanted.collect::<String>());
    let here = if arguments.output.components().count() == 1 { "./" } else { "" };
    text += &format!("serve it:  {here}{output} {options}");
    data(&format!("{}\n", text.trim_end()))
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
