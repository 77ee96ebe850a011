//! Checks of modules and components: those that could never be instantiated are refused at the start.

use wasmparser::{Parser, Payload};
use wasmtime::{ExternType, Module, ModuleExport, ResourcesRequired};

use crate::error::{Error, ErrorKind};
use crate::runtime::{MAX_FUNCTIONS, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES, WASM_PAGE};

/// The entry point of a WASI command: the export `name`.
pub(super) fn entry_point(module: &Module, label: &str, name: &str) -> Result<ModuleExport, Error> {
    let no_start = |problem: &str| {
        Error::new(ErrorKind::Module, format!("{label} {problem}"))
            .with_hint("build it as a WASI command (a program with a main function), not as a library or reactor")
    };
    match module.get_export(name) {
        Some(ExternType::Func(ty)) if ty.params().len() == 0 && ty.results().len() == 0 => {
            Ok(module.get_export_index(name).expect("the export was just found"))
        }
        Some(_) => Err(no_start(&format!("has a `{name}`, but not as a function without parameters and results"))),
        None => Err(no_start(&format!("exports no `{name}`"))),
    }
}

/// Refuses a module whose instances would be large before they have any memory.
pub(super) fn check_functions(wasm: &[u8], label: &str) -> Result<(), Error> {
    let functions = Parser::new(0).parse_all(wasm).find_map(|payload| match payload {
        Ok(Payload::FunctionSection(section)) => Some(section.count() as usize),
        _ => None,
    });
    match functions.filter(|functions| *functions > MAX_FUNCTIONS) {
        Some(functions) => Err(Error::new(
            ErrorKind::Module,
            format!("{label} has {functions} functions, above the limit of {MAX_FUNCTIONS}"),
        )),
        None => Ok(()),
    }
}

/// Refuses at the start a module or component that could never be instantiated.
pub(super) fn check_size(needs: &ResourcesRequired, label: &str, max_memory: usize) -> Result<(), Error> {
    let memory = needs.max_initial_memory_size.unwrap_or(0).saturating_mul(WASM_PAGE);
    if memory > max_memory as u64 {
        return Err(Error::new(
            ErrorKind::Module,
            format!("{label} starts with {memory} bytes of memory, above the limit of {max_memory}"),
        )
        .with_hint("raise the memory limit"));
    }
    for (count, most, what) in
        [(needs.num_memories, MAX_MEMORIES, "Wasm linear memories"), (needs.num_tables, MAX_TABLES, "tables")]
    {
        if count as usize > most {
            return Err(Error::new(ErrorKind::Module, format!("{label} can never run here"))
                .with_source(format!("it has {count} {what}, above the limit of {most}")));
        }
    }
    let elements = needs.max_initial_table_size.unwrap_or(0);
    if elements > MAX_TABLE_ELEMENTS as u64 {
        return Err(Error::new(
            ErrorKind::Module,
            format!("{label} has a table of {elements} elements, above the limit of {MAX_TABLE_ELEMENTS}"),
        ));
    }
    Ok(())
}

pub(super) const START: &str = "_start";
