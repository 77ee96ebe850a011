//! `wcgi build`: writes a package that begins where the start-up of another ended, and says what is in it.

use std::io::{self, Write as _};
use std::time::Instant;

use anyhow::Context as _;
use tower_wcgi::Engine;

use crate::arguments::Build;
use crate::log::Log;
use crate::report::size;
use crate::run::package;

pub(crate) fn run(arguments: Build, log: &Log) -> anyhow::Result<()> {
    // There is no address that has to come first.
    log.release();
    let begin = Instant::now();
    let output = arguments.output;
    let from = arguments.package.package.display().to_string();
    // One instance at a time is enough for a start-up, and the settings that code depends on are those of `wcgi run`.
    let builder = package(arguments.package, Engine::builder().max_concurrency(1).threads(1))?;
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
    text += &format!("serve it:  wcgi run {trust}{output}\n");
    io::stdout().write_all(text.as_bytes()).context("cannot write to stdout")
}
