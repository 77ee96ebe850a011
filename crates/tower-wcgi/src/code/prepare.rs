//! A prepared module can begin anywhere. It has no data for its memory, and exports everything that a beginning has to set.
//!
//! In: a module. Out: the first content of its memory, and the module without that data. The data comes from an image instead: the
//! module's own, or one that a start-up has left. The code is the same for both, and is compiled once. The module's start
//! function is exported, and called only if the module begins at its own beginning.
//!
//! The code section stays as it is, so that debug information holds.

use wasmparser::{DataKind, MemoryType, Operator, Parser, Payload, TypeRef, ValType};

use crate::runtime::WASM_PAGE;

/// Tells modules apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ModuleHash(pub(crate) blake3::Hash);

impl ModuleHash {
    pub(crate) fn of(wasm: &[u8]) -> Self {
        Self(blake3::hash(wasm))
    }
}

/// What a module's memory holds at first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Data {
    /// Up to the last byte that is given.
    pub(crate) memory: Vec<u8>,
    /// How long the memory is, in bytes.
    pub(crate) len: usize,
}

/// The names under which a prepared module exports what is set from outside.
pub(crate) const MEMORY: &str = "wcgi:memory";
pub(crate) const START: &str = "wcgi:start";
pub(crate) const GLOBAL: &str = "wcgi:global:";
const OURS: &str = "wcgi:";

/// What there is to do.
struct Plan {
    /// The length of the memory, in bytes.
    len: usize,
    /// Where each data segment goes, if it goes anywhere by itself.
    places: Vec<Option<usize>>,
    /// The globals that can change, by their index.
    #[cfg_attr(not(feature = "compiler"), expect(dead_code, reason = "nothing is prepared without a compiler"))]
    globals: Vec<u32>,
    #[cfg_attr(not(feature = "compiler"), expect(dead_code, reason = "as above"))]
    start: Option<u32>,
}

/// What the memory of `wasm` holds at first, if [`prepare`] makes something of it.
pub(crate) fn data(wasm: &[u8]) -> Option<Data> {
    let plan = Plan::of(wasm)?;
    let mut memory = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::DataSection(segments) = payload.ok()? else { continue };
        for (segment, place) in segments.into_iter().zip(&plan.places) {
            let (Some(place), data) = (*place, segment.ok()?.data) else { continue };
            let end = place.checked_add(data.len()).filter(|end| *end <= plan.len)?;
            if memory.len() < end {
                memory.resize(end, 0);
            }
            memory.get_mut(place..end)?.copy_from_slice(data);
        }
    }
    Some(Data { memory, len: plan.len })
}

/// What a prepared module is compiled from.
pub(crate) fn input(wasm: ModuleHash) -> blake3::Hash {
    blake3::Hasher::new().update(wasm.0.as_bytes()).update(&[PREPARED]).finalize()
}

/// `wasm` prepared, or none if it stays as it is. That is a module without its own single 32-bit memory, or with data whose place
/// is only known at instantiation. A damaged module stays as it is too: the compiler will report it.
#[cfg(feature = "compiler")]
pub(crate) fn prepare(wasm: &[u8]) -> Option<Vec<u8>> {
    use wasm_encoder::{DataSection, Encode, ExportKind, Module, RawSection};

    let plan = Plan::of(wasm)?;
    // Data that does not fit traps when the module is instantiated, and is left to do so.
    data(wasm)?;
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.ok()?;
        let Some((id, range)) = payload.as_section() else { continue };
        match payload {
            Payload::ExportSection(exports) => {
                let mut ours: Vec<(String, ExportKind, u32)> = vec![(MEMORY.to_owned(), ExportKind::Memory, 0)];
                ours.extend(
                    plan.globals.iter().map(|global| (format!("{GLOBAL}{global}"), ExportKind::Global, *global)),
                );
                ours.extend(plan.start.map(|start| (START.to_owned(), ExportKind::Func, start)));
                let mut section = Vec::new();
                (exports.count() + u32::try_from(ours.len()).ok()?).encode(&mut section);
                section.extend_from_slice(wasm.get(exports.original_position()..range.end)?);
                for (name, kind, index) in ours {
                    name.encode(&mut section);
                    kind.encode(&mut section);
                    index.encode(&mut section);
                }
                module.section(&RawSection { id, data: &section });
            }
            Payload::StartSection { .. } => {}
            Payload::DataSection(segments) => {
                let mut section = DataSection::new();
                for (segment, place) in segments.into_iter().zip(&plan.places) {
                    // Its number stays taken. An active segment is empty for the code once it is in memory, as a passive one
                    // without data is; and wasmtime compiles a piece of code for each active one.
                    let data = if place.is_some() { &[] } else { segment.ok()?.data };
                    section.passive(data.iter().copied());
                }
                module.section(&section);
            }
            _ => {
                module.section(&RawSection { id, data: wasm.get(range)? });
            }
        }
    }
    Some(module.finish())
}

impl Plan {
    fn of(wasm: &[u8]) -> Option<Self> {
        let (mut memory, mut places, mut globals, mut start) = (None, Vec::new(), Vec::new(), None);
        let (mut imported_globals, mut has_exports) = (0_u32, false);
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.ok()? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        match import.ok()?.ty {
                            TypeRef::Global(_) => imported_globals += 1,
                            TypeRef::Memory(_) => return None,
                            _ => {}
                        }
                    }
                }
                Payload::MemorySection(section) if section.count() == 1 => memory = section.into_iter().next(),
                Payload::MemorySection(_) => return None,
                Payload::GlobalSection(section) => {
                    for (index, global) in (imported_globals..).zip(section) {
                        let ty = global.ok()?.ty;
                        if ty.mutable && is_number(ty.content_type) {
                            globals.push(index);
                        }
                    }
                }
                Payload::ExportSection(exports) => {
                    has_exports = true;
                    for export in exports {
                        if export.ok()?.name.starts_with(OURS) {
                            return None;
                        }
                    }
                }
                Payload::StartSection { func, .. } => start = Some(func),
                Payload::DataSection(segments) => {
                    for segment in segments {
                        places.push(match segment.ok()?.kind {
                            DataKind::Active { memory_index: 0, offset_expr } => Some(constant(&offset_expr)?),
                            DataKind::Active { .. } => return None,
                            DataKind::Passive => None,
                        });
                    }
                }
                _ => {}
            }
        }
        let MemoryType { memory64: false, shared: false, page_size_log2: None, initial, .. } = memory?.ok()? else {
            return None;
        };
        let len = usize::try_from(initial.checked_mul(WASM_PAGE)?).ok()?;
        (has_exports && len > 0).then_some(Self { len, places, globals, start })
    }
}

fn is_number(ty: ValType) -> bool {
    matches!(ty, ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64 | ValType::V128)
}

/// The address that `expression` is, if it is one that is known here.
fn constant(expression: &wasmparser::ConstExpr<'_>) -> Option<usize> {
    let mut operators = expression.get_operators_reader();
    let Operator::I32Const { value } = operators.read().ok()? else { return None };
    matches!(operators.read().ok()?, Operator::End).then_some(())?;
    usize::try_from(value.cast_unsigned()).ok()
}

/// To be raised with every change to what [`prepare`] makes: caches and packages have modules that were made so.
const PREPARED: u8 = 2;

#[cfg(test)]
#[cfg(feature = "compiler")]
mod tests {
    use super::*;

    fn wasm(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn data_goes_into_the_image_in_the_order_of_its_segments() {
        let wasm = wasm(
            r#"(module (memory (export "memory") 2) (data (i32.const 4) "abcd") (data "passive") (data (i32.const 6) "XY")
                (data (i32.const 0x1fffe) "zz") (func (export "_start") (memory.init 1 (i32.const 0) (i32.const 0) (i32.const 3))))"#,
        );
        let data = data(&wasm).unwrap();
        assert_eq!(data.len, 2 << 16);
        assert_eq!(&data.memory[..9], b"\0\0\0\0abXY\0");
        assert_eq!(&data.memory[0x1fffe..], b"zz");
        let prepared = prepare(&wasm).unwrap();
        wasmparser::validate(&prepared).unwrap();
        assert!(!prepared.windows(4).any(|bytes| bytes == b"abcd"));
        assert!(prepared.windows(7).any(|bytes| bytes == b"passive"));
    }

    #[test]
    fn what_a_beginning_sets_is_exported() {
        let wasm = wasm(
            r#"(module (import "a" "b" (global i32)) (memory 1) (global (mut i32) (i32.const 0)) (global i32 (i32.const 0))
                (global (mut f64) (f64.const 0)) (global (mut funcref) (ref.null func)) (func $f) (start $f)
                (func (export "_start")))"#,
        );
        let prepared = prepare(&wasm).unwrap();
        wasmparser::validate(&prepared).unwrap();
        let engine = wasmtime::Engine::default();
        let module = wasmtime::Module::new(&engine, &prepared).unwrap();
        let names: Vec<_> = module.exports().map(|export| export.name().to_owned()).collect();
        assert_eq!(names, ["_start", MEMORY, "wcgi:global:1", "wcgi:global:3", START]);
    }

    #[test]
    fn what_is_unusual_or_damaged_is_left_as_it_is() {
        for text in [
            "(module)",
            r#"(module (memory (export "m") 0))"#,
            r#"(module (import "a" "b" (memory 1)) (func (export "_start")))"#,
            r#"(module (memory i64 1) (func (export "_start")))"#,
            "(module (memory 1))",
            r#"(module (import "a" "b" (global i32)) (memory 1) (data (global.get 0) "x") (func (export "_start")))"#,
            r#"(module (memory 1) (data (i32.const 65536) "x") (func (export "_start")))"#,
            r#"(module (memory 1) (data (i32.const -1) "x") (func (export "_start")))"#,
            r#"(module (memory (export "wcgi:memory") 1) (func (export "_start")))"#,
        ] {
            let wasm = wasm(text);
            assert_eq!(prepare(&wasm), None, "{text}");
            assert_eq!(data(&wasm), None, "{text}");
        }
        for damaged in [&b"text"[..], b"\0asm\x01\0\0\0\x05\xff"] {
            assert_eq!(prepare(damaged), None);
            assert_eq!(data(damaged), None);
        }
    }
}
