//! Compiling within bounds of time and memory: a module may be made to take hours or all memory of the host.
//!
//! In: a module or a component, and the limits. Out: its code. Where the program offers a [`helper`](super::helper), a process
//! of its own compiles and both limits hold. Elsewhere a thread compiles, after a check for functions that make compilers slow. The
//! time of the caller is bounded, but the thread goes on to its end.

use std::sync::mpsc::channel;
use std::time::Duration;

use wasmparser::{Operator, Parser, Payload};
use wasmtime::Module;
use wasmtime::component::Component;

use super::helper::{self, Ended};
use crate::code::Compiled;
use crate::engine::{CompileLimits, Engine};
use crate::error::{Error, ErrorKind};

/// What can be compiled from bytes.
pub(in crate::script) trait Compile: Compiled + Send + 'static {
    /// What a helper is asked for.
    const KIND: &'static str;

    fn compile(engine: &wasmtime::Engine, wasm: &[u8]) -> wasmtime::Result<Self>;

    fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Self>;
}

impl Compile for Module {
    const KIND: &'static str = helper::MODULE;

    fn compile(engine: &wasmtime::Engine, wasm: &[u8]) -> wasmtime::Result<Self> {
        Self::new(engine, wasm)
    }

    #[expect(unsafe_code, reason = "loading a precompiled module cannot be checked by types")]
    fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: this program's own helper has just compiled it, and nobody else has had the bytes in between.
        unsafe { Self::deserialize(engine, code) }
    }
}

impl Compile for Component {
    const KIND: &'static str = helper::COMPONENT;

    fn compile(engine: &wasmtime::Engine, wasm: &[u8]) -> wasmtime::Result<Self> {
        Self::from_binary(engine, wasm)
    }

    #[expect(unsafe_code, reason = "loading a precompiled component cannot be checked by types")]
    fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: as for a module.
        unsafe { Self::deserialize(engine, code) }
    }
}

/// Compiles `wasm`, which `label` names in errors, for `wasmtime` within the limits of `engine`. `invalid` says what it means
/// that it cannot be compiled.
///
/// # Errors
///
/// What `invalid` makes of the compiler's, and [`ErrorKind::Module`] when it is above a limit.
pub(in crate::script) fn compile<C: Compile>(
    engine: &Engine,
    wasmtime: &wasmtime::Engine,
    wasm: &[u8],
    label: &str,
    invalid: impl FnOnce(wasmtime::Error) -> Error,
) -> Result<C, Error> {
    let limits = engine.compile_limits();
    if helper::is_offered() {
        match helper::compile(C::KIND, wasmtime, wasm, limits) {
            Ok(Ended::Compiled(code)) => match C::deserialize(wasmtime, &code) {
                Ok(compiled) => return Ok(compiled),
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the code that the helper compiled cannot be loaded here"
                    )
                }
            },
            Ok(Ended::Refused(reason)) => return Err(invalid(wasmtime::Error::msg(reason))),
            Ok(Ended::Late(limit)) => return Err(late(label, limit)),
            Ok(Ended::Died(status)) => return Err(died(label, limits, &status)),
            Err(error) => tracing::warn!(%error, "cannot start the helper that compiles, so its limits do not hold"),
        }
    }
    in_process(wasmtime, wasm, label, limits, invalid)
}

fn in_process<C: Compile>(
    wasmtime: &wasmtime::Engine,
    wasm: &[u8],
    label: &str,
    limits: CompileLimits,
    invalid: impl FnOnce(wasmtime::Error) -> Error,
) -> Result<C, Error> {
    let Some(limit) = limits.time else { return C::compile(wasmtime, wasm).map_err(invalid) };
    if let Some(reason) = too_complex(wasm) {
        return Err(Error::new(ErrorKind::Module, format!("{label} would take too long to compile: {reason}"))
            .with_hint("a program that calls `tower_wcgi::compile_helper` compiles it within its limits"));
    }
    let (sender, receiver) = channel();
    let (engine, wasm) = (wasmtime.clone(), wasm.to_owned());
    // Not scoped: who waits has a limit, and a compiler cannot be stopped.
    let thread = std::thread::Builder::new().name("wcgi-compile".into());
    thread
        .spawn(move || sender.send(C::compile(&engine, &wasm)))
        .map_err(|error| Error::new(ErrorKind::Host, "cannot start a thread to compile on").with_source(error))?;
    match receiver.recv_timeout(limit) {
        Ok(compiled) => compiled.map_err(invalid),
        Err(_) => Err(late(label, limit)),
    }
}

fn late(label: &str, limit: Duration) -> Error {
    Error::new(ErrorKind::Module, format!("{label} was not compiled within {limit:?}"))
        .with_hint("raise the time limit for compiling if you trust the module")
}

fn died(label: &str, limits: CompileLimits, status: &str) -> Error {
    let limit = limits.memory.map(|bytes| format!(", of which it may have {bytes} bytes")).unwrap_or_default();
    Error::new(ErrorKind::Module, format!("{label} cannot be compiled within the limits"))
        .with_source(std::io::Error::other(format!(
            "its compiler ended early, mostly for want of memory{limit}: {status}"
        )))
        .with_hint("raise the memory limit for compiling if you trust the module")
}

/// Why compiling `wasm` could take very long, if something in it could. The size of functions and the number of values that
/// their branches merge make the compiler's time grow faster than the module. What is no WebAssembly is for the compiler to say.
fn too_complex(wasm: &[u8]) -> Option<String> {
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CodeSectionEntry(body) = payload.ok()? else { continue };
        let size = body.range().len();
        if size > MOST_FUNCTION_BYTES {
            return Some(format!("a function has {size} bytes of code, more than {MOST_FUNCTION_BYTES}"));
        }
        let locals: u64 = body.get_locals_reader().ok()?.into_iter().flatten().map(|(count, _)| u64::from(count)).sum();
        let (mut branches, mut targets) = (0_u64, 0_u64);
        for operator in body.get_operators_reader().ok()?.into_iter() {
            match operator.ok()? {
                Operator::BrTable { targets: table } => targets += u64::from(table.len()),
                Operator::Block { .. }
                | Operator::Loop { .. }
                | Operator::If { .. }
                | Operator::Else
                | Operator::Br { .. }
                | Operator::BrIf { .. } => branches += 1,
                _ => {}
            }
        }
        if targets > MOST_TABLE_TARGETS {
            return Some(format!(
                "the branch tables of a function have {targets} targets, more than {MOST_TABLE_TARGETS}"
            ));
        }
        let merges = locals.saturating_mul(branches + targets);
        if merges > MOST_MERGES {
            return Some(format!("a function has {locals} locals and {} branches", branches + targets));
        }
    }
    None
}

/// Ruby's largest function has 250 KB, PHP's 140.
const MOST_FUNCTION_BYTES: usize = 2 << 20;
/// PHP has a function with 1,750.
const MOST_TABLE_TARGETS: u64 = 50_000;
/// Locals times branches of one function: Ruby has one with 850,000. With 40 million the compiler needs over 2 GiB.
const MOST_MERGES: u64 = 8_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// A function with so many locals and branches.
    fn merging(locals: usize, branches: usize) -> Vec<u8> {
        let branch = "(if (local.get 0) (then (local.set 0 (local.get 1))))";
        let function = format!("(func (local {}) {})", "i32 ".repeat(locals), branch.repeat(branches));
        wat::parse_str(format!("(module {function})")).unwrap()
    }

    fn limits(time: Duration) -> CompileLimits {
        CompileLimits { time: Some(time), memory: None }
    }

    fn compile_here(wasm: &[u8], time: Duration) -> Result<Module, Error> {
        let engine = wasmtime::Engine::default();
        in_process(&engine, wasm, "it", limits(time), |source| Error::new(ErrorKind::Module, "bad").with_source(source))
    }

    #[test]
    fn what_makes_compilers_slow_is_refused_before_it_is_compiled() {
        let table = |targets: usize| {
            let function = format!("(func (block (br_table {} (i32.const 0))))", "0 ".repeat(targets));
            wat::parse_str(format!("(module {function})")).unwrap()
        };
        let long = |adds: usize| {
            wat::parse_str(format!(
                "(module (func (local i32) {}))",
                "(drop (i32.add (local.get 0) (local.get 0)))".repeat(adds)
            ))
            .unwrap()
        };
        for (wasm, reason) in [
            (merging(2_001, 4_000), "2001 locals and 4000 branches"),
            (table(50_010), "targets, more than 50000"),
            (long(400_000), "bytes of code"),
        ] {
            let error = compile_here(&wasm, Duration::from_secs(60)).unwrap_err();
            assert!(
                error.to_string().contains("would take too long to compile: a function has")
                    || error.to_string().contains("the branch tables of a function have"),
                "{error}"
            );
            assert!(error.to_string().contains(reason), "{error}");
        }
        for wasm in [merging(100, 100), table(1_000), long(1_000)] {
            compile_here(&wasm, Duration::from_secs(60)).unwrap();
        }
    }

    #[test]
    fn who_waits_for_a_thread_that_compiles_waits_no_longer_than_the_limit() {
        let error = compile_here(&merging(1_000, 2_000), Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.to_string(), "it was not compiled within 1ms");
        assert_eq!(compile_here(b"no module", Duration::from_secs(60)).unwrap_err().to_string(), "bad");
    }
}
