//! The mappings that slots and images are made of. All of this crate's `unsafe` is here and in [`scan`](crate::scan).
//!
//! # Invariants
//!
//! A [`Region`] is a range of addresses that this process has reserved, and into which nothing else has mapped anything. One `mmap`
//! makes it, and one `munmap` takes it back when it is dropped. Every method takes offsets, and asserts that they are
//! within the region. So no call here changes a mapping of anybody else.
//!
//! The bytes within are never given out as a reference. An instance writes them through a raw pointer, for as long as it has the
//! [`Memory`](crate::Memory) or [`Stack`](crate::Stack) that lends the region. The owner of one promises not to use the pointer
//! after it is dropped. wasmtime keeps that promise, because an instance owns its memories. From then on the region belongs to the
//! pool, and only the pool writes it until it lends the region again. A mutex hands it over, so one thread sees what another wrote.
//!
//! A [`Sealed`] file is anonymous memory. Once it is sealed, nobody can write, shrink or grow it, this process included
//! (`F_SEAL_WRITE`, `F_SEAL_SHRINK`, `F_SEAL_GROW`, `F_SEAL_SEAL`). So a shared reference to its mapped bytes is sound, and a slot
//! maps the same bytes at every fault. A slot maps it `MAP_PRIVATE`: an instance's writes go to the slot's own pages.
//!
//! # Why nothing of an earlier instance is left
//!
//! In a private mapping a page that was written is *anonymous*, whatever became of it. A page that was only read is the file's,
//! or the kernel's page of zeros, or absent. `PAGEMAP_SCAN` tells them apart, and [`scan`](crate::scan) says how. Each page that was
//! written is found and overwritten through its address. If it was swapped out, or is being moved, that write waits for it like any
//! other write. Nobody else writes there any more, so no page can be missed between finding and writing.
//!
//! Pages beyond a budget are given back by `MADV_DONTNEED`, which drops pages and swap entries alike. The next access
//! finds the file or zeros again. If any of these calls fails, the region is unmapped and never used again.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::mm::{self, Advice, MapFlags, MprotectFlags, ProtFlags};

/// A reserved range of addresses, inaccessible but where it was made accessible.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: it is an address and a length; no method depends on the thread it is called on.
#[expect(unsafe_code, reason = "a region may be reset on another thread than it was used on")]
unsafe impl Send for Region {}
// SAFETY: what changes anything takes `&mut self`.
#[expect(unsafe_code, reason = "as above")]
unsafe impl Sync for Region {}

impl Region {
    /// Reserves `len` bytes of addresses.
    #[expect(unsafe_code, reason = "mappings have no safe interface")]
    pub(crate) fn reserve(len: usize) -> io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: the kernel chooses the place, so no mapping that exists is replaced.
        let start = unsafe { mm::mmap_anonymous(ptr::null_mut(), len, ProtFlags::empty(), flags)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Makes `part` readable and writable. Pages that were never mapped over hold zeros.
    #[expect(unsafe_code, reason = "mappings have no safe interface")]
    pub(crate) fn allow(&mut self, part: Range<usize>) -> io::Result<()> {
        let (at, len) = self.check(part);
        // SAFETY: it lies within this region.
        unsafe { mm::mprotect(at.cast(), len, MprotectFlags::READ | MprotectFlags::WRITE)? };
        // Huge pages would be copied, reset and counted whole. A kernel without them refuses, and that is fine.
        // SAFETY: it lies within this region, and advice about the size of pages changes no content.
        let _ = unsafe { mm::madvise(at.cast(), len, Advice::LinuxNoHugepage) };
        Ok(())
    }

    /// Maps `len` bytes of `file`, from `offset` on, in place of the pages at `at`. Writes do not reach the file.
    #[expect(unsafe_code, reason = "mappings have no safe interface")]
    pub(crate) fn map(&mut self, at: usize, file: &Sealed, offset: usize, len: usize) -> io::Result<()> {
        let (at, len) = self.check(at..at + len);
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        // SAFETY: what it replaces lies within this region. Nobody has a reference to it.
        unsafe { mm::mmap(at.cast(), len, access, flags, file.file.as_fd(), offset as u64)? };
        Ok(())
    }

    /// Drops all mappings in `part`, which is inaccessible then.
    #[expect(unsafe_code, reason = "mappings have no safe interface")]
    pub(crate) fn clear(&mut self, part: Range<usize>) -> io::Result<()> {
        let (at, len) = self.check(part);
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        // SAFETY: what it replaces lies within this region. Nobody has a reference to it.
        unsafe { mm::mmap_anonymous(at.cast(), len, ProtFlags::empty(), flags)? };
        Ok(())
    }

    /// Gives the pages of `part` back to the kernel. The next read finds the file's bytes, or zeros.
    #[expect(unsafe_code, reason = "mappings have no safe interface")]
    pub(crate) fn give_back(&mut self, part: Range<usize>) -> io::Result<()> {
        if part.is_empty() {
            return Ok(());
        }
        let (at, len) = self.check(part);
        // SAFETY: it lies within this region. Nobody has a reference to it.
        unsafe { mm::madvise(at.cast(), len, Advice::LinuxDontNeed)? };
        Ok(())
    }

    /// Writes zeros to `part`, which is accessible.
    #[expect(unsafe_code, reason = "the bytes are no Rust object")]
    pub(crate) fn zero(&mut self, part: Range<usize>) {
        let (at, len) = self.check(part);
        // SAFETY: it lies within this region, whose bytes nobody else reads or writes while this has `&mut self`.
        unsafe { ptr::write_bytes(at, 0, len) };
    }

    /// Writes `bytes` at `at`, which is accessible.
    #[expect(unsafe_code, reason = "the bytes are no Rust object")]
    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        let (at, len) = self.check(at..at + bytes.len());
        // SAFETY: as for `zero`; and `bytes` lies in no region, as nobody has a reference into one.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), at, len) };
    }

    /// Whether `part`, which is accessible, holds nothing but zeros.
    #[expect(unsafe_code, reason = "the bytes are no Rust object")]
    pub(crate) fn is_zero(&self, part: Range<usize>) -> bool {
        let (at, len) = self.check(part);
        // SAFETY: they lie within this region, and nobody writes them: it is the pool's, see above. Any byte is a `u8`.
        let bytes = unsafe { std::slice::from_raw_parts(at, len) };
        // By some lines of the cache at once, which compilers make into few instructions.
        bytes.chunks(256).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
    }

    /// Reads the byte at `at`, which is accessible.
    #[expect(unsafe_code, reason = "the bytes are no Rust object")]
    pub(crate) fn touch(&self, at: usize) -> u8 {
        let (at, _) = self.check(at..at + 1);
        // SAFETY: as for `zero`.
        unsafe { at.read_volatile() }
    }

    /// Where `part` is.
    pub(crate) fn addresses(&self, part: Range<usize>) -> Range<usize> {
        let (at, len) = self.check(part);
        at.addr()..at.addr() + len
    }

    fn check(&self, part: Range<usize>) -> (*mut u8, usize) {
        assert!(part.start <= part.end && part.end <= self.len, "within the region");
        (self.start.as_ptr().wrapping_add(part.start), part.len())
    }
}

impl Drop for Region {
    #[expect(unsafe_code, reason = "mappings have no safe interface")]
    fn drop(&mut self) {
        // SAFETY: it was reserved here, and nobody uses it any more.
        let unmapped = unsafe { mm::munmap(self.start.as_ptr().cast(), self.len) };
        // It fails for lack of memory if a mapping is split, and here none is. If it failed, the addresses would stay taken.
        if let Err(error) = unmapped {
            tracing::error!(%error, "cannot unmap the memory of an instance");
        }
    }
}

/// A file in memory that is never changed, and its bytes.
#[derive(Debug)]
pub(crate) struct Sealed {
    file: OwnedFd,
    view: Option<View>,
}

impl Sealed {
    /// A file of the `parts` of `memory`, one after the other. If a part ends beyond `memory`, zeros fill it.
    pub(crate) fn of(memory: &[u8], parts: &[Range<usize>]) -> io::Result<Self> {
        let file = memfd_create("wcgi-image", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let len: usize = parts.iter().map(Range::len).sum();
        ftruncate(&file, len as u64)?;
        let mut offset = 0;
        for part in parts {
            let bytes = memory.get(part.start..part.end.min(memory.len())).unwrap_or_default();
            write_all_at(&file, bytes, offset)?;
            offset += part.len();
        }
        fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let view = if len == 0 { None } else { Some(View::of(&file, len)?) };
        Ok(Self { file, view })
    }

    #[expect(unsafe_code, reason = "a mapped file has no safe interface")]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match &self.view {
            // SAFETY: the file is that long and sealed, so these bytes are there and nobody changes them; the view is unmapped
            // with `self`.
            Some(view) => unsafe { std::slice::from_raw_parts(view.start.as_ptr(), view.len) },
            None => &[],
        }
    }
}

/// The bytes of a sealed file.
#[derive(Debug)]
struct View {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: nobody writes there.
#[expect(unsafe_code, reason = "an image is used by every thread")]
unsafe impl Send for View {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "as above")]
unsafe impl Sync for View {}

impl View {
    #[expect(unsafe_code, reason = "mappings have no safe interface")]
    fn of(file: &OwnedFd, len: usize) -> io::Result<Self> {
        // SAFETY: the kernel chooses the place, so no mapping that exists is replaced.
        let start = unsafe { mm::mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file, 0)? };
        Ok(Self { start: NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?, len })
    }
}

impl Drop for View {
    #[expect(unsafe_code, reason = "mappings have no safe interface")]
    fn drop(&mut self) {
        // SAFETY: it was mapped here, and its slices are gone.
        let _ = unsafe { mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// A page that a child of this process finds wiped.
#[derive(Debug)]
pub(crate) struct ForkMark(Region);

impl ForkMark {
    #[expect(unsafe_code, reason = "mappings have no safe interface")]
    pub(crate) fn new() -> io::Result<Self> {
        let page = rustix::param::page_size();
        let mut region = Region::reserve(page)?;
        region.allow(0..page)?;
        // SAFETY: it is this region's page, and only a child's copy is ever wiped.
        unsafe { mm::madvise(region.start.as_ptr().cast(), page, Advice::LinuxWipeOnFork)? };
        region.write(0, &[1]);
        Ok(Self(region))
    }

    /// Whether this is the process that made it.
    #[expect(unsafe_code, reason = "the bytes are no Rust object")]
    pub(crate) fn is_whole(&self) -> bool {
        // SAFETY: the page is there and nobody writes it any more; a wiped one holds zeros.
        unsafe { self.0.start.as_ptr().read_volatile() == 1 }
    }
}

fn write_all_at(file: &OwnedFd, mut bytes: &[u8], mut offset: usize) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::pwrite(file, bytes, offset as u64)?;
        bytes = bytes.get(written..).unwrap_or_default();
        offset += written;
    }
    Ok(())
}
