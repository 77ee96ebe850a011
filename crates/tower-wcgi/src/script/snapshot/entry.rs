//! The exports by which a module declares its start-up, and whether it can have a snapshot.

use std::sync::Arc;

use wasmparser::{ExternalKind, Parser, Payload};
use wasmtime_wizer::{ModuleContext, Wizer};

use crate::code::Code;
use crate::error::{Error, ErrorKind};
use crate::script::checks::{START, entry_point};

/// The exports by which a module declares its start-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::script) struct Entry {
    /// The export that is the start-up, in the spelling found.
    pub(super) initialize: &'static str,
    /// The export that takes the place of `_start` afterwards.
    pub(in crate::script) start: &'static str,
}

impl Entry {
    /// The exports of `wasm`. None if it has no start-up. The compiler will report a damaged module.
    pub(in crate::script) fn of(wasm: &[u8]) -> Option<Self> {
        let exports = Parser::new(0).parse_all(wasm).find_map(|payload| match payload {
            Ok(Payload::ExportSection(exports)) => Some(exports),
            _ => None,
        })?;
        let functions: Vec<&str> = exports
            .into_iter()
            .flatten()
            .filter(|export| export.kind == ExternalKind::Func)
            .map(|export| export.name)
            .collect();
        let initialize = INITIALIZE.into_iter().find(|name| functions.contains(name))?;
        Some(Self { initialize, start: if functions.contains(&RESUME) { RESUME } else { START } })
    }
}

/// Refuses a module with other state than its memory and numbers.
pub(super) fn check(code: &Arc<Code>, wasm: &[u8], entry: Entry) -> Result<(), Error> {
    let checked = code.snapshots.possible.get_or_init(|| {
        if !code.is_prepared() {
            return Err("it has not one memory of its own whose data has a constant place".to_owned());
        }
        Wizer::new().instrument(wasm).map(drop).map_err(|error| format!("{error:#}"))
    });
    let unsuitable =
        |source: String| Error::new(ErrorKind::Module, "the module cannot be snapshotted").with_source(source);
    checked.clone().map_err(unsuitable)?;
    entry_point(&code.module, "the module", entry.start).map(drop)
}

/// wizer's settings for a module that begins elsewhere.
pub(super) fn instrument(wasm: &[u8], entry: Entry) -> Result<(Wizer, ModuleContext<'_>), Error> {
    let mut wizer = Wizer::new();
    wizer.init_func(entry.initialize);
    if entry.start != START {
        wizer.func_rename(START, entry.start);
    }
    let instrumented = wizer.instrument(wasm);
    let (context, _) = instrumented
        .map_err(|source| Error::new(ErrorKind::Module, "the module cannot be snapshotted").with_source(source))?;
    Ok((wizer, context))
}

/// Both spellings in use. The first one counts if a module has both.
pub(crate) const INITIALIZE: [&str; 2] = ["wizer-initialize", "wizer.initialize"];
/// The export by which C programs made with `wizer.h` go on.
const RESUME: &str = "wizer.resume";
