//! Growth without the kernel: a module whose memory is there before it asks for it.
//!
//! Most programs have their memory grow a few times before they have said anything. Each time the kernel changes what may
//! be accessed, and once more to put the slot back for the next instance: calls that interrupt the other cores, and that
//! exchanges make one after the other. So a module is compiled with a larger memory, and with its `memory.size` and
//! `memory.grow` replaced by a count of what it has been given of that. It sees the sizes that it would have seen; all that
//! differs is an access beyond its memory, which may read zeros where it would have trapped.
//!
//! No instruction that stays changes its place, so that debug information holds: a function that grows memory becomes a call
//! of its changed self, which comes after all others.

use std::ops::Range;

use wasm_encoder::{Encode, FunctionSection, Instruction, MemorySection, Module, RawSection, ValType};
use wasmparser::{FunctionBody, MemoryType, Operator, Parser, Payload, TypeRef};

/// `wasm` with such a memory, or nothing where it stays as it is: what has not the usual single 32-bit memory, what cannot
/// grow within `max_memory` bytes, what does it in an unusual way. What is damaged too: its compiler will complain.
pub(super) fn ahead(wasm: &[u8], max_memory: usize) -> Option<Vec<u8>> {
    let plan = Plan::of(wasm, max_memory)?;
    let code = plan.code(wasm)?;
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.ok()?;
        let Some((id, range)) = payload.as_section() else { continue };
        match payload {
            Payload::FunctionSection(_) => {
                let mut section = FunctionSection::new();
                for ty in plan.functions.iter().chain([&plan.grow_type]).chain(&code.moved) {
                    section.function(*ty);
                }
                module.section(&section);
            }
            Payload::MemorySection(_) => {
                module.section(MemorySection::new().memory(plan.memory));
            }
            Payload::GlobalSection(globals) => {
                let mut data = Vec::new();
                (globals.count() + 1).encode(&mut data);
                data.extend_from_slice(wasm.get(globals.original_position()..range.end)?);
                ValType::I32.encode(&mut data);
                data.push(MUTABLE);
                Instruction::I32Const(plan.initial.cast_signed()).encode(&mut data);
                Instruction::End.encode(&mut data);
                module.section(&RawSection { id, data: &data });
            }
            Payload::CodeSectionStart { .. } => {
                module.section(&RawSection { id, data: &code.section });
            }
            _ => {
                module.section(&RawSection { id, data: wasm.get(range)? });
            }
        }
    }
    Some(module.finish())
}

/// What is to be changed.
struct Plan {
    /// The memory's pages at first, as the module sees it.
    initial: u32,
    memory: wasm_encoder::MemoryType,
    /// How many parameters the functions of each type have.
    parameters: Vec<u32>,
    /// The type of each function with a body.
    functions: Vec<u32>,
    /// The index of the function that takes the place of `memory.grow`.
    grow: u32,
    grow_type: u32,
    /// The index of the global that holds the memory's pages as the module sees it.
    size: u32,
}

/// A new code section: the functions there were, `memory.grow`, and those that were moved.
struct Code {
    section: Vec<u8>,
    /// The types of those that were moved.
    moved: Vec<u32>,
}

impl Plan {
    fn of(wasm: &[u8], max_memory: usize) -> Option<Self> {
        let (mut parameters, mut functions) = (Vec::new(), Vec::new());
        let (mut imported_functions, mut imported_globals) = (0, 0);
        let (mut globals, mut grow_type, mut memory) = (None, None, None);
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.ok()? {
                Payload::TypeSection(types) => {
                    for (index, ty) in (0..).zip(types.into_iter_err_on_gc_types()) {
                        let ty = ty.ok()?;
                        if (ty.params(), ty.results()) == (&[wasmparser::ValType::I32], &[wasmparser::ValType::I32]) {
                            grow_type = Some(index);
                        }
                        parameters.push(u32::try_from(ty.params().len()).ok()?);
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        match import.ok()?.ty {
                            TypeRef::Func(_) => imported_functions += 1,
                            TypeRef::Global(_) => imported_globals += 1,
                            TypeRef::Memory(_) => return None,
                            _ => {}
                        }
                    }
                }
                Payload::FunctionSection(section) => functions = section.into_iter().collect::<Result<_, _>>().ok()?,
                Payload::GlobalSection(section) => globals = Some(section.count()),
                Payload::MemorySection(section) if section.count() == 1 => memory = section.into_iter().next(),
                Payload::MemorySection(_) => return None,
                _ => {}
            }
        }
        let MemoryType { memory64: false, shared: false, page_size_log2: None, initial, maximum } = memory?.ok()?
        else {
            return None;
        };
        let most = maximum.unwrap_or(MAX_PAGES).min(max_memory as u64 / WASM_PAGE).min(MAX_PAGES);
        let minimum = (initial + initial.clamp(LEAST, MOST)).min(most);
        (minimum > initial).then_some(())?;
        Some(Self {
            initial: u32::try_from(initial).ok()?,
            memory: wasm_encoder::MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: None },
            grow: imported_functions + u32::try_from(functions.len()).ok()?,
            parameters,
            functions,
            grow_type: grow_type?,
            size: imported_globals + globals?,
        })
    }

    /// The code section of `wasm` with its `memory.size` and `memory.grow` replaced, if there is any of the latter.
    fn code(&self, wasm: &[u8]) -> Option<Code> {
        let (mut bodies, mut after) = (Vec::new(), Vec::new());
        let (mut moved, mut grows) = (Vec::new(), false);
        let (mut section, mut copied) = (0..0, 0);
        let mut types = self.functions.iter();
        self.grow_body().encode(&mut after);
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.ok()? {
                Payload::CodeSectionStart { range, .. } => {
                    copied = range.start + leb_len(wasm.get(range.clone())?)?;
                    section = range;
                }
                Payload::CodeSectionEntry(body) => {
                    let ty = *types.next()?;
                    let Some(changed) = self.changed(wasm, &body)? else { continue };
                    grows |= changed.grows;
                    let range = body.range();
                    bodies.extend_from_slice(wasm.get(copied..range.start)?);
                    if changed.bytes.len() == range.len() {
                        bodies.extend_from_slice(&changed.bytes);
                    } else {
                        changed.bytes.encode(&mut after);
                        moved.push(ty);
                        let callee = self.grow + u32::try_from(moved.len()).ok()?;
                        let parameters = *self.parameters.get(ty as usize)?;
                        bodies.extend_from_slice(&call_of(callee, parameters, range.len())?);
                    }
                    copied = range.end;
                }
                _ => {}
            }
        }
        grows.then_some(())?;
        bodies.extend_from_slice(wasm.get(copied..section.end)?);
        let count = u32::try_from(self.functions.len() + 1 + moved.len()).ok()?;
        let mut code = leb_of_len(count, leb_len(wasm.get(section)?)?)?;
        code.extend_from_slice(&bodies);
        code.extend_from_slice(&after);
        Some(Code { section: code, moved })
    }

    /// A function's body with its `memory.size` and `memory.grow` replaced. `Some(None)` when it has neither.
    #[expect(clippy::option_option, reason = "damaged, and nothing to change")]
    fn changed(&self, wasm: &[u8], body: &FunctionBody<'_>) -> Option<Option<Changed>> {
        let Range { start, end } = body.range();
        let mut copied = start;
        let mut changed = Changed { bytes: Vec::new(), grows: false };
        let mut operators = body.get_operators_reader().ok()?;
        while !operators.eof() {
            let (operator, at) = operators.read_with_offset().ok()?;
            let replacement = match operator {
                Operator::MemorySize { .. } => Instruction::GlobalGet(self.size),
                Operator::MemoryGrow { .. } => {
                    changed.grows = true;
                    Instruction::Call(self.grow)
                }
                _ => continue,
            };
            changed.bytes.extend_from_slice(wasm.get(copied..at)?);
            replacement.encode(&mut changed.bytes);
            copied = operators.original_position();
        }
        if copied == start {
            return Some(None);
        }
        changed.bytes.extend_from_slice(wasm.get(copied..end)?);
        Some(Some(changed))
    }

    /// `memory.grow` as a function: of what is there already, then of the engine.
    fn grow_body(&self) -> wasm_encoder::Function {
        use Instruction as I;
        use wasm_encoder::BlockType::Empty;
        const DELTA: u32 = 0;
        const OLD: u32 = 1;
        const NEW: u32 = 2;
        let mut function = wasm_encoder::Function::new([(2, ValType::I32)]);
        for instruction in [
            I::GlobalGet(self.size),
            I::LocalTee(OLD),
            I::LocalGet(DELTA),
            I::I32Add,
            I::LocalTee(NEW),
            // More pages than a number holds.
            I::LocalGet(OLD),
            I::I32LtU,
            I::If(Empty),
            I::I32Const(-1),
            I::Return,
            I::End,
            I::LocalGet(NEW),
            I::MemorySize(0),
            I::I32GtU,
            I::If(Empty),
            I::LocalGet(NEW),
            I::MemorySize(0),
            I::I32Sub,
            I::MemoryGrow(0),
            I::I32Const(-1),
            I::I32Eq,
            I::If(Empty),
            I::I32Const(-1),
            I::Return,
            I::End,
            I::End,
            I::LocalGet(NEW),
            I::GlobalSet(self.size),
            I::LocalGet(OLD),
            I::End,
        ] {
            function.instruction(&instruction);
        }
        function
    }
}

/// A function's new body.
struct Changed {
    bytes: Vec<u8>,
    grows: bool,
}

/// A body of `len` bytes that calls another function of its type, if there is room for it.
fn call_of(callee: u32, parameters: u32, len: usize) -> Option<Vec<u8>> {
    // Without locals.
    let mut body = vec![0];
    for parameter in 0..parameters {
        Instruction::LocalGet(parameter).encode(&mut body);
    }
    Instruction::Call(callee).encode(&mut body);
    while body.len() + 1 < len {
        Instruction::Nop.encode(&mut body);
    }
    Instruction::End.encode(&mut body);
    (body.len() == len).then_some(body)
}

/// How many bytes the LEB128 number at the beginning of `bytes` has.
fn leb_len(bytes: &[u8]) -> Option<usize> {
    Some(bytes.iter().position(|byte| byte & LEB_MORE == 0)? + 1)
}

/// `number` in LEB128 of `len` bytes, if it is not too large for that.
fn leb_of_len(number: u32, len: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    number.encode(&mut bytes);
    while bytes.len() < len {
        *bytes.last_mut()? |= LEB_MORE;
        bytes.push(0);
    }
    (bytes.len() == len).then_some(bytes)
}

/// What a module gets ahead: as much as it has, but no less than this and no more than that, in pages. php-cgi takes 4 MiB
/// for every request, a small C program 128 KiB.
const LEAST: u64 = 16;
const MOST: u64 = 256;
const WASM_PAGE: u64 = 64 << 10;
const MAX_PAGES: u64 = 65_536;
const MUTABLE: u8 = 1;
const LEB_MORE: u8 = 0x80;

#[cfg(test)]
mod tests {
    use wasmtime::{Engine, Instance, Module, Store, StoreLimits, StoreLimitsBuilder};

    use super::*;

    const MANY: usize = 1 << 30;

    /// What a module answers when its memory grows by each of `deltas`, with its size after each, as it is and grown ahead.
    fn answers(memory: &str, limit: usize, deltas: &[u32]) -> [Vec<(i32, i32)>; 2] {
        let nops = "nop ".repeat(10);
        let text = format!(
            r#"(module (import "h" "f" (func)) (import "h" "g" (global i32)) (memory (export "memory") {memory})
                (global (mut i32) (i32.const 7)) (data (i32.const 8) "kept")
                (func (export "size") (result i32) (block (result i32) (memory.size)))
                (func (export "grow") (param i64 i32) (result i32) (local f64) {nops} (if (result i32) (i32.const 1)
                    (then (memory.grow (local.get 1))) (else (i32.const 99))))
                (func (export "id") (param i32) (result i32) local.get 0)
                (@custom ".debug_line" "kept"))"#
        );
        let wasm = wat::parse_str(text).unwrap();
        let ahead = ahead(&wasm, limit).unwrap_or_else(|| wasm.clone());
        [wasm, ahead].map(|wasm| {
            let engine = Engine::default();
            let limits = StoreLimitsBuilder::new().memory_size(limit).build();
            let mut store: Store<StoreLimits> = Store::new(&engine, limits);
            store.limiter(|limits| limits);
            let module = Module::new(&engine, wasm).unwrap();
            let nothing = wasmtime::Func::wrap(&mut store, || {});
            let ty = wasmtime::GlobalType::new(wasmtime::ValType::I32, wasmtime::Mutability::Const);
            let number = wasmtime::Global::new(&mut store, ty, 5.into()).unwrap();
            let instance = Instance::new(&mut store, &module, &[nothing.into(), number.into()]).unwrap();
            let grow = instance.get_typed_func::<(i64, u32), i32>(&mut store, "grow").unwrap();
            let size = instance.get_typed_func::<(), i32>(&mut store, "size").unwrap();
            let mut answer = |delta| (grow.call(&mut store, (7, delta)).unwrap(), size.call(&mut store, ()).unwrap());
            let answers = deltas.iter().map(|delta| answer(*delta)).collect();
            let id = instance.get_typed_func::<i32, i32>(&mut store, "id").unwrap();
            assert_eq!(id.call(&mut store, 77).unwrap(), 77);
            let memory = instance.get_memory(&mut store, "memory").unwrap();
            assert_eq!(memory.data(&store).get(8..12), Some(&b"kept"[..]));
            answers
        })
    }

    #[test]
    fn the_module_sees_the_sizes_it_would_have_seen() {
        let deltas = [0, 1, 15, 1, 0, 3, u32::MAX, u32::MAX - 1, 65_536, 40, 1000, 1, 0];
        for memory in ["1", "2 5", "2 2", "2 100", "20 40", "300"] {
            for limit in [MANY, 400 << 16, 301 << 16] {
                let [plain, ahead] = answers(memory, limit, &deltas);
                assert_eq!(plain, ahead, "(memory {memory}), at most {limit} bytes");
            }
        }
    }

    /// Where each body of the code section begins within it, and how long it is.
    fn places(wasm: &[u8]) -> Vec<Range<usize>> {
        let mut start = 0;
        let mut places = Vec::new();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.unwrap() {
                Payload::CodeSectionStart { range, .. } => start = range.start,
                Payload::CodeSectionEntry(body) => places.push(body.range().start - start..body.range().end - start),
                _ => {}
            }
        }
        places
    }

    #[test]
    fn no_function_moves_within_the_code() {
        for guest in ["hello", "grow", "upper"] {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/guests");
            let wasm = std::fs::read(format!("{path}/{guest}.wasm")).expect("`cargo xtask guests` builds it");
            let ahead = ahead(&wasm, MANY).unwrap();
            wasmparser::validate(&ahead).unwrap();
            let (before, after) = (places(&wasm), places(&ahead));
            assert!(after.starts_with(&before) && after.len() > before.len(), "{guest}");
        }
    }

    fn initial(text: &str, max_memory: usize) -> Option<u64> {
        let wasm = wat::parse_str(text).unwrap();
        let ahead = ahead(&wasm, max_memory)?;
        wasmparser::validate(&ahead).unwrap();
        Parser::new(0).parse_all(&ahead).find_map(|payload| match payload.unwrap() {
            Payload::MemorySection(memories) => Some(memories.into_iter().next()?.unwrap().initial),
            _ => None,
        })
    }

    #[test]
    fn a_memory_is_larger_by_as_much_as_its_maximum_and_the_limit_allow() {
        let with = |memory: &str, limit| initial(&format!("(module (memory {memory}) {GROWS})"), limit);
        assert_eq!(with("2", MANY), Some(18));
        assert_eq!(with("100", MANY), Some(200));
        assert_eq!(with("1000", MANY), Some(1256));
        assert_eq!(with("2 5", MANY), Some(5));
        assert_eq!(with("2", 3 << 16), Some(3));
        for (memory, limit) in [("2 2", MANY), ("4", 3 << 16)] {
            assert_eq!(with(memory, limit), None, "{memory}");
        }
    }

    #[test]
    fn what_never_grows_is_unusual_or_damaged_is_left_as_it_is() {
        let without = GROWS.replace("memory.grow", "i32.eqz");
        for text in [
            "(module)",
            "(module (memory 1))",
            &format!("(module (memory 1) {without})"),
            &format!("(module (import \"a\" \"b\" (memory 1)) {GROWS})"),
            &format!("(module (memory 1) {})", GROWS.replace("(global i32 (i32.const 0))", "")),
            &format!("(module (memory 1) (type (struct)) {GROWS})"),
        ] {
            assert_eq!(initial(text, MANY), None, "{text}");
        }
        for damaged in [&b"text"[..], b"\0asm\x01\0\0\0\x05\xff"] {
            assert!(ahead(damaged, MANY).is_none());
        }
    }

    const GROWS: &str =
        "(global i32 (i32.const 0)) (func (param i32) (result i32) nop nop nop nop local.get 0 memory.grow)";
}
