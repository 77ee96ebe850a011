//! How a module says that it can be initialised ahead of its requests, and whether it can.

use std::sync::Arc;

use wasmparser::{ExternalKind, Parser, Payload};
use wasmtime_wizer::{ModuleContext, Wizer};

use crate::code::Code;
use crate::error::{Error, ErrorKind};
use crate::script::checks::{START, entry_point};

/// How a module says that it can be initialised ahead of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::script) struct Entry {
    /// The export that is the start-up, in the spelling found.
    pub(super) initialize: &'static str,
    /// What takes the place of `_start` afterwards.
    pub(in crate::script) start: &'static str,
}

impl Entry {
    /// What `wasm` exports, nothing when it cannot be initialised. Of a module that is damaged its compiler will complain.
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

/// Refuses a module whose state is more than its memory and numbers.
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

/// What wizer needs to write a module that begins elsewhere.
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

/// Both spellings in use; the first one counts where a module has both.
const INITIALIZE: [&str; 2] = ["wizer-initialize", "wizer.initialize"];
/// What C programs made with `wizer.h` export to go on.
const RESUME: &str = "wizer.resume";
