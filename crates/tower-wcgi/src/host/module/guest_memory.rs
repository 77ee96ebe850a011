//! The memory of a guest, as WASI calls see it: pointers, buffers, and what leads out of it.

use wasmtime::{Caller, Extern, Memory};

/// The memory WASI pointers point into: the export of that name.
pub(crate) fn memory<T>(caller: &mut Caller<'_, T>) -> wasmtime::Result<Memory> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => wasmtime::bail!("missing required memory export"),
    }
}

/// A guest's pointer led out of its memory.
#[derive(Debug)]
pub(super) struct Fault;

/// The guest's bytes from `at` on.
pub(super) fn slice(memory: &[u8], at: u32, len: u32) -> Option<&[u8]> {
    let start = at as usize;
    memory.get(start..start.checked_add(len as usize)?)
}

pub(crate) fn slice_mut(memory: &mut [u8], at: u32, len: u32) -> Option<&mut [u8]> {
    let start = at as usize;
    memory.get_mut(start..start.checked_add(len as usize)?)
}

pub(super) fn write(memory: &mut [u8], at: u32, bytes: &[u8]) -> Result<(), Fault> {
    let start = at as usize;
    let target = start.checked_add(bytes.len()).and_then(|end| memory.get_mut(start..end)).ok_or(Fault)?;
    target.copy_from_slice(bytes);
    Ok(())
}

/// The vector of buffers of a read or a write: where it begins, how many there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buffers {
    pub(super) at: u32,
    pub(super) count: u32,
}

impl Buffers {
    /// Where the buffer `index` begins, and its length. Nothing where the vector leads out of the memory.
    pub(super) fn get(self, memory: &[u8], index: u32) -> Option<(u32, u32)> {
        let at = index.checked_mul(BUFFER)?.checked_add(self.at)?;
        let (start, len) = slice(memory, at, BUFFER)?.split_first_chunk::<4>()?;
        Some((u32::from_le_bytes(*start), u32::from_le_bytes(*len.first_chunk()?)))
    }

    /// How many of them are read or written at once.
    pub(super) fn at_once(self) -> u32 {
        self.count.min(IOV_MAX)
    }

    /// The first that is not empty, which is all that wasmtime-wasi reads or writes at once.
    pub(super) fn first(self, memory: &[u8]) -> Result<Option<(u32, u32)>, Fault> {
        for index in 0..self.count.min(IOV_MAX) {
            let (at, len) = self.get(memory, index).ok_or(Fault)?;
            if len > 0 {
                return Ok(Some((at, len)));
            }
        }
        Ok(None)
    }
}

/// Where scripts import WASI preview 1 from.
pub(crate) const WASI: &str = "wasi_snapshot_preview1";
/// Where scripts import what WASI does not have.
pub(crate) const WCGI: &str = "wcgi";
/// As many buffers as Linux takes at once; a vector of more is written or read in part.
pub(super) const IOV_MAX: u32 = 1024;
/// The size of one entry of a vector of buffers, in bytes.
const BUFFER: u32 = 8;
