//! `componentize OUT MODULE…`: makes a component OUT/NAME.wasm of each module, as `wasm-tools component new --adapt` does. A
//! component is the unchanged module, and an adapter that turns its imports of WASI preview 1 into those of WASI 0.2.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER as COMMAND,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as LIBRARY,
};
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

fn main() -> Result<()> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let out = paths.next().context("usage: componentize OUT MODULE…")?;
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    for module in paths {
        let component = component(&module).with_context(|| format!("cannot wrap {}", module.display()))?;
        let name = module.file_name().context("a module has a name")?;
        let output = out.join(name).with_extension("wasm");
        fs::write(&output, component).with_context(|| format!("cannot write {}", output.display()))?;
    }
    Ok(())
}

fn component(module: &Path) -> Result<Vec<u8>> {
    let module = wat::parse_bytes(&fs::read(module)?)?.into_owned();
    // The adapter for commands makes `wasi:cli/run` of `_start`; a library has a `run` of its own.
    let adapter = if exports(&module, "_start")? { COMMAND } else { LIBRARY };
    ComponentEncoder::default().module(&module)?.adapter(NAME, adapter)?.validate(true).encode()
}

fn exports(module: &[u8], name: &str) -> Result<bool> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(exports) = payload? {
            for export in exports {
                if export?.name == name {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}
