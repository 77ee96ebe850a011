//! Which pages of a mapping were written: Linux's `PAGEMAP_SCAN` (6.7 and newer).
//!
//! The kernel walks the page tables of a range under the locks that also guard every change of an entry. These are `mmap_lock` for
//! reading, then the lock of each table (`pagemap_scan_pmd_entry` in `fs/proc/task_mmu.c`). For each entry it reports:
//!
//! - `PRESENT`: the page is in memory.
//! - `SWAPPED`: the page is in swap or being moved. Every entry that is neither empty nor present counts, so migration entries too.
//! - `FILE`: the page is a file's, not anonymous.
//! - `PFNZERO`: the page is the kernel's page of zeros.
//!
//! In a private mapping a page is anonymous once it was written, and stays so. So a written page is `PRESENT` or `SWAPPED`, and not
//! `FILE`. A page that is `PFNZERO` counts as written only where the mapping is of a file. There the kernel has replaced a
//! written page that held zeros by its page of zeros (`KSM` with `use_zero_pages`, and the shrinker of huge pages). Where no
//! file is mapped, the content is zeros, as it should be.
//!
//! `WRITTEN` is not used: without `userfaultfd` it is always set. An empty entry was never written. Reclaiming, moving and
//! scanning for a better node never leave a written page's entry empty while the table's lock is free. Collapsing pages to a huge
//! one does so for a moment, and holds `mmap_lock` for writing meanwhile.
//!
//! Each pool tries once whether the kernel does so, on a page of each available sort.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ops::Range;

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, opcode};

use crate::map::{ForkMark, Region, Sealed};

/// Finds written pages of this process.
#[derive(Debug)]
pub(crate) struct Scanner {
    pagemap: File,
    /// The file belongs to the process that opened it. A child would get its parent's pages from it.
    same_process: ForkMark,
}

/// A run of pages that were written.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Found {
    start: u64,
    end: u64,
    categories: u64,
}

impl Found {
    pub(crate) fn addresses(&self) -> Range<usize> {
        // The kernel only gives addresses of the range that was asked for, which were `usize`.
        #[expect(clippy::cast_possible_truncation, reason = "see above")]
        let addresses = self.start as usize..self.end as usize;
        addresses
    }

    /// Whether the kernel's page of zeros is there.
    pub(crate) fn is_zero_page(&self) -> bool {
        self.categories & PFNZERO != 0
    }
}

impl Scanner {
    /// A scanner, if this kernel has one, lets this process use it, and reports as described above.
    pub(crate) fn new() -> Option<Self> {
        let pagemap = File::open("/proc/self/pagemap").ok()?;
        let scanner = Self { pagemap, same_process: ForkMark::new().ok()? };
        match scanner.works() {
            Ok(true) => Some(scanner),
            Ok(false) => {
                tracing::warn!("this kernel's PAGEMAP_SCAN does not do what is expected of it, and is not used");
                None
            }
            Err(_) => None,
        }
    }

    /// Looks for written pages among `addresses`, up to `most` pages of them. Gives the number of runs in `found`, and
    /// the address up to which it has looked.
    pub(crate) fn scan(&self, addresses: Range<usize>, most: usize, found: &mut [Found]) -> io::Result<(usize, usize)> {
        if !self.same_process.is_whole() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let arguments = Arguments {
            size: size_of::<Arguments>() as u64,
            flags: 0,
            start: addresses.start as u64,
            end: addresses.end as u64,
            walk_end: 0,
            vec: found.as_mut_ptr().expose_provenance() as u64,
            vec_len: found.len() as u64,
            max_pages: most as u64,
            category_inverted: FILE,
            category_mask: FILE,
            category_anyof_mask: PRESENT | SWAPPED,
            return_mask: PFNZERO,
        };
        let (runs, walk_end) = arguments.call(&self.pagemap)?;
        #[expect(clippy::cast_possible_truncation, reason = "the kernel walks no further than to `end`")]
        let walk_end = walk_end as usize;
        if runs > found.len() || !(addresses.start..=addresses.end).contains(&walk_end) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((runs, walk_end))
    }

    /// Tries the scan on pages that were written, read and left alone, with and without a file.
    fn works(&self) -> io::Result<bool> {
        let page = rustix::param::page_size();
        let file = Sealed::of(&vec![1; 3 * page], std::slice::from_ref(&(0..3 * page)))?;
        let mut region = Region::reserve(6 * page)?;
        region.allow(0..6 * page)?;
        region.map(0, &file, 0, 3 * page)?;
        for written in [0, 3] {
            region.write(written * page, &[2]);
        }
        for read in [1, 4] {
            region.touch(read * page);
        }
        let all = region.addresses(0..6 * page);
        let mut found = [Found::default(); 8];
        let (runs, walk_end) = self.scan(all.clone(), 6, &mut found)?;
        let mut dirty = found.iter().take(runs).filter(|run| !run.is_zero_page()).map(Found::addresses);
        let at = |n: usize| all.start + n * page..all.start + (n + 1) * page;
        Ok(walk_end == all.end && dirty.next() == Some(at(0)) && dirty.next() == Some(at(3)) && dirty.next().is_none())
    }
}

/// `struct pm_scan_arg` of `linux/fs.h`.
#[repr(C)]
struct Arguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

impl Arguments {
    #[expect(unsafe_code, reason = "the call writes through a pointer")]
    fn call(self, pagemap: &File) -> io::Result<(usize, u64)> {
        // SAFETY: `vec` and `vec_len` are those of a slice of `Found` that is borrowed for as long as the call takes. The kernel writes
        // there and into the arguments, and nowhere else; it only reads page tables.
        Ok(unsafe { rustix::ioctl::ioctl(pagemap, self)? })
    }
}

// SAFETY: the opcode is that of `PAGEMAP_SCAN`, `_IOWR('f', 16, struct pm_scan_arg)`, and the pointer one to such a structure.
#[expect(unsafe_code, reason = "rustix has no such call")]
unsafe impl Ioctl for Arguments {
    type Output = (usize, u64);
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::read_write::<Self>(b'f', 16)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self).cast()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, arguments: *mut c_void) -> rustix::io::Result<Self::Output> {
        // SAFETY: it is the pointer that `as_ptr` gave, and the structure is still there.
        let walk_end = unsafe { (*arguments.cast::<Self>()).walk_end };
        Ok((usize::try_from(out).map_err(|_| rustix::io::Errno::INVAL)?, walk_end))
    }
}

const FILE: u64 = 1 << 2;
const PRESENT: u64 = 1 << 3;
const SWAPPED: u64 = 1 << 4;
const PFNZERO: u64 = 1 << 5;
