//! A snapshot in a file of the cache.
//!
//! In: what a start-up has left. Out: bytes, and the snapshot again. One that is much like another is written as what is different,
//! with the other's place in the cache.

use std::sync::Arc;

use wasmtime::{V128, Val};
use wcgi_memory::Image;

use super::snapshot::{Globals, Snapshot};

/// What a file has in it.
pub(crate) struct Written<'b> {
    /// The place of the one that has the rest.
    pub(crate) base: Option<&'b str>,
    len: usize,
    globals: Globals,
    parts: Vec<(usize, &'b [u8])>,
}

/// `snapshot` in bytes. `base` is the place of what its image shares with another.
pub(crate) fn write(snapshot: &Snapshot, base: Option<&str>) -> Vec<u8> {
    let image = &snapshot.image;
    let parts: Vec<_> = if base.is_some() { image.own_parts().collect() } else { image.parts().collect() };
    let mut bytes = MAGIC.to_vec();
    put(&mut bytes, image.len());
    let base = base.unwrap_or_default();
    put(&mut bytes, base.len());
    bytes.extend_from_slice(base.as_bytes());
    put(&mut bytes, snapshot.globals.len());
    for (index, value) in &snapshot.globals {
        let (kind, bits) = match value {
            Val::I32(value) => (0, u128::from(value.cast_unsigned())),
            Val::I64(value) => (1, u128::from(value.cast_unsigned())),
            Val::F32(bits) => (2, u128::from(*bits)),
            Val::F64(bits) => (3, u128::from(*bits)),
            Val::V128(value) => (4, value.as_u128()),
            _ => unreachable!("only numbers are exported by a prepared module"),
        };
        bytes.extend_from_slice(&index.to_le_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(&bits.to_le_bytes());
    }
    put(&mut bytes, parts.len());
    for (at, part) in &parts {
        put(&mut bytes, *at);
        put(&mut bytes, part.len());
    }
    for (_, part) in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

impl<'b> Written<'b> {
    /// What `bytes` have in them, if [`write`] made them.
    pub(crate) fn read(bytes: &'b [u8]) -> Option<Self> {
        let mut rest = Rest(bytes.strip_prefix(MAGIC)?);
        let len = rest.number()?;
        let base_len = rest.number()?;
        let base = std::str::from_utf8(rest.take(base_len)?).ok()?;
        let count = rest.number()?;
        let globals = (0..count).map(|_| rest.global()).collect::<Option<_>>()?;
        let count = rest.number()?;
        let places = (0..count).map(|_| Some((rest.number()?, rest.number()?))).collect::<Option<Vec<_>>>()?;
        let parts = places.into_iter().map(|(at, len)| Some((at, rest.take(len)?))).collect::<Option<_>>()?;
        rest.0.is_empty().then_some(Self { base: (!base.is_empty()).then_some(base), len, globals, parts })
    }

    /// The snapshot, with `base` as what has the rest.
    pub(crate) fn snapshot(self, base: Option<&Arc<Image>>) -> std::io::Result<Snapshot> {
        let image = match base {
            Some(base) => Image::patched(base, &self.parts, self.len)?,
            None => {
                let end = self.parts.last().map_or(0, |(at, part)| at.saturating_add(part.len()));
                let mut memory = vec![0; end.min(self.len)];
                for (at, part) in &self.parts {
                    let target = at.checked_add(part.len()).and_then(|end| memory.get_mut(*at..end));
                    target.ok_or(std::io::ErrorKind::InvalidData)?.copy_from_slice(part);
                }
                Image::new(&memory, self.len)?
            }
        };
        Ok(Snapshot { image: Arc::new(image), globals: self.globals })
    }
}

/// What is still to be read.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<usize> {
        usize::try_from(u64::from_le_bytes(self.array()?)).ok()
    }

    fn global(&mut self) -> Option<(u32, Val)> {
        let index = u32::from_le_bytes(self.array()?);
        let [kind] = self.array()?;
        let bits = u128::from_le_bytes(self.array()?);
        let value = match kind {
            0 => Val::I32(u32::try_from(bits).ok()?.cast_signed()),
            1 => Val::I64(u64::try_from(bits).ok()?.cast_signed()),
            2 => Val::F32(u32::try_from(bits).ok()?),
            3 => Val::F64(u64::try_from(bits).ok()?),
            4 => Val::V128(V128::from(bits)),
            _ => return None,
        };
        Some((index, value))
    }
}

fn put(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend_from_slice(&(number as u64).to_le_bytes());
}

/// Another one whenever the format changes.
const MAGIC: &[u8] = b"wcgi snapshot 1\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let mut memory = vec![0; 3 << 16];
        memory[5] = 7;
        memory[(2 << 16) + 9] = 8;
        let globals = vec![
            (0, Val::I32(-1)),
            (3, Val::I64(i64::MIN)),
            (4, Val::F32(0x7fc0_0001)),
            (7, Val::F64(1)),
            (9, Val::V128(V128::from(u128::MAX))),
        ];
        Snapshot { image: Arc::new(Image::new(&memory, memory.len()).unwrap()), globals }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let snapshot = snapshot();
        let bytes = write(&snapshot, None);
        let again = Written::read(&bytes).unwrap().snapshot(None).unwrap();
        assert!(again.image.to_vec() == snapshot.image.to_vec());
        assert_eq!(format!("{:?}", again.globals), format!("{:?}", snapshot.globals));
    }

    #[test]
    fn one_like_another_is_written_as_what_is_different() {
        let mut memory = vec![7; 16 << 16];
        let image = Arc::new(Image::new(&memory, memory.len()).unwrap());
        let base = Snapshot { image, globals: Vec::new() };
        memory[1 << 16] = 1;
        let image = Arc::new(Image::like(&base.image, &memory, memory.len()).unwrap());
        let bytes = write(&Snapshot { image, globals: Vec::new() }, Some("there"));
        assert!(bytes.len() < 5000, "{} bytes", bytes.len());
        let written = Written::read(&bytes).unwrap();
        assert_eq!(written.base, Some("there"));
        assert!(written.snapshot(Some(&base.image)).unwrap().image.to_vec() == memory);
    }

    #[test]
    fn what_was_cut_or_changed_is_no_snapshot() {
        let bytes = write(&snapshot(), None);
        for len in [0, 3, MAGIC.len(), MAGIC.len() + 9, 60, bytes.len() - 1] {
            assert!(Written::read(&bytes[..len]).is_none(), "{len} bytes");
        }
        for at in 0..200 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            // It may still be read, but neither panics nor takes more memory than there is.
            if let Some(written) = Written::read(&damaged)
                && written.len < 1 << 30
            {
                let _ = written.snapshot(None);
            }
        }
    }
}
