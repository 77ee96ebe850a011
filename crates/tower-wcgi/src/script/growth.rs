//! Growth without the kernel: a module whose memory is there before it asks for it.
//!
//! Most programs have their memory grow a few times before they have said anything. Each time the kernel changes what may
//! be accessed, and once more to put the slot back for the next instance: calls that interrupt the other cores, and that
//! exchanges make one after the other. So a module is compiled with a larger memory, and with its `memory.size` and
//! `memory.grow` replaced by a count of what it has been given of that. It sees the sizes that it would have seen; all that
//! differs is an access beyond its memory, which may read zeros where it would have trapped.

use wasm_encoder::{CodeSection, Encode, FunctionSection, Instruction, MemorySection, Module, RawSection, ValType};
use wasmparser::{BinaryReaderError, FunctionBody, MemoryType, Operator, Parser, Payload, TypeRef};

/// `wasm` with such a memory, or nothing where it stays as it is: what is not the usual single 32-bit memory, what cannot
/// grow within `max_memory` bytes, what has debug information, whose places in the code would be wrong.
///
/// # Errors
///
/// When `wasm` is damaged.
pub(super) fn ahead(wasm: &[u8], max_memory: usize) -> Result<Option<Vec<u8>>, BinaryReaderError> {
    let Some(plan) = Plan::of(wasm, max_memory)? else { return Ok(None) };
    let mut module = Module::new();
    let mut code = CodeSection::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::FunctionSection(functions) => {
                let mut section = FunctionSection::new();
                for ty in functions {
                    section.function(ty?);
                }
                module.section(section.function(plan.grow_type));
            }
            Payload::MemorySection(_) => {
                module.section(MemorySection::new().memory(plan.memory));
            }
            Payload::GlobalSection(globals) => {
                let mut data = Vec::new();
                (plan.size_global - plan.imported_globals + 1).encode(&mut data);
                let all = globals.original_position()..globals.range().end;
                data.extend_from_slice(wasm.get(all).unwrap_or_default());
                ValType::I32.encode(&mut data);
                data.push(MUTABLE);
                Instruction::I32Const(plan.initial.cast_signed()).encode(&mut data);
                Instruction::End.encode(&mut data);
                module.section(&RawSection { id: GLOBALS, data: &data });
            }
            Payload::CodeSectionEntry(body) => {
                code.raw(&plan.rewritten(wasm, &body)?);
                if code.len() == plan.functions {
                    module.section(code.function(&plan.grow()));
                }
            }
            payload => {
                if let Some((id, range)) = payload.as_section()
                    && id != CODE
                {
                    module.section(&RawSection { id, data: wasm.get(range).unwrap_or_default() });
                }
            }
        }
    }
    Ok(Some(module.finish()))
}

/// What is to be changed.
struct Plan {
    /// The memory's pages at first, as the module sees it.
    initial: u32,
    memory: wasm_encoder::MemoryType,
    imported_globals: u32,
    /// Functions with a body, without the new one.
    functions: u32,
    /// The index of the global that holds the memory's pages as the module sees it.
    size_global: u32,
    /// The index of the function that takes the place of `memory.grow`.
    grow_function: u32,
    /// The index of its type.
    grow_type: u32,
}

impl Plan {
    fn of(wasm: &[u8], max_memory: usize) -> Result<Option<Self>, BinaryReaderError> {
        let (mut imported_functions, mut imported_globals) = (0, 0);
        let (mut functions, mut globals, mut grow_type, mut memory) = (None, None, None, None);
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(types) => {
                    let mut index = 0;
                    for group in types {
                        for ty in group?.into_types() {
                            let grows = matches!(&ty.composite_type.inner,
                                wasmparser::CompositeInnerType::Func(ty)
                                    if ty.params() == [wasmparser::ValType::I32] && ty.results() == [wasmparser::ValType::I32]);
                            if grows && ty.is_final && ty.supertype_idx.is_none() {
                                grow_type = Some(index);
                            }
                            index += 1;
                        }
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        match import?.ty {
                            TypeRef::Func(_) => imported_functions += 1,
                            TypeRef::Global(_) => imported_globals += 1,
                            TypeRef::Memory(_) => return Ok(None),
                            _ => {}
                        }
                    }
                }
                Payload::FunctionSection(section) => functions = Some(section.count()),
                Payload::GlobalSection(section) => globals = Some(section.count()),
                Payload::MemorySection(section) if section.count() == 1 => memory = section.into_iter().next(),
                Payload::MemorySection(_) => return Ok(None),
                Payload::CustomSection(section)
                    if section.name().starts_with(".debug_") || section.name().starts_with("metadata.code.") =>
                {
                    return Ok(None);
                }
                _ => {}
            }
        }
        let (Some(functions), Some(globals), Some(grow_type), Some(memory)) = (functions, globals, grow_type, memory)
        else {
            return Ok(None);
        };
        let MemoryType { memory64: false, shared: false, page_size_log2: None, initial, maximum } = memory? else {
            return Ok(None);
        };
        let most = maximum.unwrap_or(MAX_PAGES).min(max_memory as u64 / WASM_PAGE).min(MAX_PAGES);
        let minimum = (initial + initial.clamp(LEAST, MOST)).min(most);
        let Ok(initial_pages) = u32::try_from(initial) else { return Ok(None) };
        if minimum <= initial {
            return Ok(None);
        }
        let memory =
            wasm_encoder::MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: None };
        Ok(Some(Self {
            initial: initial_pages,
            memory,
            imported_globals,
            functions,
            size_global: imported_globals + globals,
            grow_function: imported_functions + functions,
            grow_type,
        }))
    }

    /// A function's body with its `memory.size` and `memory.grow` replaced.
    fn rewritten(&self, wasm: &[u8], body: &FunctionBody<'_>) -> Result<Vec<u8>, BinaryReaderError> {
        let mut copied = body.range().start;
        let mut bytes = Vec::with_capacity(body.range().len());
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let (operator, at) = operators.read_with_offset()?;
            let replacement = match operator {
                Operator::MemorySize { .. } => Instruction::GlobalGet(self.size_global),
                Operator::MemoryGrow { .. } => Instruction::Call(self.grow_function),
                _ => continue,
            };
            bytes.extend_from_slice(wasm.get(copied..at).unwrap_or_default());
            replacement.encode(&mut bytes);
            copied = operators.original_position();
        }
        bytes.extend_from_slice(wasm.get(copied..body.range().end).unwrap_or_default());
        Ok(bytes)
    }

    /// `memory.grow` as a function: from what is there already, then from the engine.
    fn grow(&self) -> wasm_encoder::Function {
        use Instruction as I;
        use wasm_encoder::BlockType::Empty;
        const DELTA: u32 = 0;
        const OLD: u32 = 1;
        const NEW: u32 = 2;
        let mut function = wasm_encoder::Function::new([(2, ValType::I32)]);
        for instruction in [
            I::GlobalGet(self.size_global),
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
            I::GlobalSet(self.size_global),
            I::LocalGet(OLD),
            I::End,
        ] {
            function.instruction(&instruction);
        }
        function
    }
}

/// What a module gets ahead: as much as it has, but no less than this and no more than that, in pages. php-cgi takes 4 MiB
/// for every request, a small C program 128 KiB.
const LEAST: u64 = 16;
const MOST: u64 = 256;
const WASM_PAGE: u64 = 64 << 10;
const MAX_PAGES: u64 = 65_536;
const CODE: u8 = 10;
const GLOBALS: u8 = 6;
const MUTABLE: u8 = 1;

#[cfg(test)]
mod tests {
    use wasmtime::{Engine, Instance, Module, Store, StoreLimits, StoreLimitsBuilder};

    use super::*;

    const MANY: usize = 1 << 30;

    /// What a module answers when its memory grows by each of `deltas`, with its size after each, as it is and grown ahead.
    fn answers(memory: &str, limit: usize, deltas: &[u32]) -> [Vec<(i32, i32)>; 2] {
        let text = format!(
            r#"(module (import "h" "f" (func)) (import "h" "g" (global i32)) (memory (export "memory") {memory})
                (global (mut i32) (i32.const 7)) (data (i32.const 8) "kept")
                (func (export "size") (result i32) (block (result i32) (memory.size)))
                (func (export "grow") (param i32) (result i32) (if (result i32) (i32.const 1)
                    (then (memory.grow (local.get 0))) (else (i32.const 99)))))"#
        );
        let wasm = wat::parse_str(text).unwrap();
        let ahead = ahead(&wasm, limit).unwrap().unwrap_or_else(|| wasm.clone());
        [wasm, ahead].map(|wasm| {
            let engine = Engine::default();
            let mut store: Store<StoreLimits> =
                Store::new(&engine, StoreLimitsBuilder::new().memory_size(limit).build());
            store.limiter(|limits| limits);
            let module = Module::new(&engine, wasm).unwrap();
            let nothing = wasmtime::Func::wrap(&mut store, || {});
            let ty = wasmtime::GlobalType::new(wasmtime::ValType::I32, wasmtime::Mutability::Const);
            let number = wasmtime::Global::new(&mut store, ty, 5.into()).unwrap();
            let instance = Instance::new(&mut store, &module, &[nothing.into(), number.into()]).unwrap();
            let grow = instance.get_typed_func::<u32, i32>(&mut store, "grow").unwrap();
            let size = instance.get_typed_func::<(), i32>(&mut store, "size").unwrap();
            let mut answer = |delta| (grow.call(&mut store, delta).unwrap(), size.call(&mut store, ()).unwrap());
            let answers = deltas.iter().map(|delta| answer(*delta)).collect();
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

    fn initial(text: &str, max_memory: usize) -> Option<u64> {
        let wasm = wat::parse_str(text).unwrap();
        let ahead = ahead(&wasm, max_memory).unwrap()?;
        wasmparser::validate(&ahead).unwrap();
        Parser::new(0).parse_all(&ahead).find_map(|payload| match payload.unwrap() {
            Payload::MemorySection(memories) => Some(memories.into_iter().next()?.unwrap().initial),
            _ => None,
        })
    }

    #[test]
    fn a_memory_is_larger_by_as_much_as_its_maximum_and_the_limit_allow() {
        let with = |memory: &str, limit| {
            let text =
                format!("(module (memory {memory}) (global i32 (i32.const 0)) (func (param i32) (result i32) local.get 0))");
            initial(&text, limit)
        };
        assert_eq!(with("2", MANY), Some(18));
        assert_eq!(with("100", MANY), Some(200));
        assert_eq!(with("1000", MANY), Some(1256));
        assert_eq!(with("2 5", MANY), Some(5));
        assert_eq!(with("2", 3 << 16), Some(3));
        for (memory, limit) in [("2 2", MANY), ("4", 3 << 16), ("i64 2", MANY)] {
            assert_eq!(with(memory, limit), None, "{memory}");
        }
    }

    #[test]
    fn what_is_unusual_is_left_as_it_is_and_what_is_damaged_is_an_error() {
        assert_eq!(initial("(module)", MANY), None);
        assert_eq!(initial("(module (memory 1))", MANY), None);
        let function = "(global i32 (i32.const 0)) (func (param i32) (result i32) local.get 0)";
        assert_eq!(initial(&format!("(module (import \"a\" \"b\" (memory 1)) {function})"), MANY), None);
        assert_eq!(initial(&format!("(module (memory 1) {function} (@custom \".debug_line\" \"\"))"), MANY), None);
        for damaged in [&b"text"[..], b"\0asm\x01\0\0\0\x05\xff"] {
            assert!(ahead(damaged, MANY).is_err());
        }
    }
}
