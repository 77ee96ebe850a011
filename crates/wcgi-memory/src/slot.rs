//! A slot: a reserved range of addresses with a memory or a stack in it.
//!
//! In: the content it shall hold. Out: that content, and the same again after each reset.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Instant;

use crate::image::Image;
use crate::layout::{self, Content, PAGE_TABLE};
use crate::map::Region;
use crate::scan::{Found, Scanner};

/// The wanted content.
pub(crate) struct Wanted<'i> {
    pub(crate) kind: Kind,
    pub(crate) image: Option<&'i Arc<Image>>,
    /// How much of it shall be accessible.
    pub(crate) allowed: usize,
}

/// The addresses that a memory takes. All in bytes, and multiples of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is what there is to say")]
pub struct Shape {
    /// The size to which the memory can grow.
    pub reservation: usize,
    /// Inaccessible before and behind it.
    pub guard: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory(Shape),
    /// Of so many bytes.
    Stack(usize),
}

impl Kind {
    pub(crate) fn capacity(self) -> usize {
        match self {
            Self::Memory(shape) => shape.reservation,
            Self::Stack(len) => len,
        }
    }

    pub(crate) fn guard(self) -> usize {
        match self {
            Self::Memory(shape) => shape.guard,
            Self::Stack(_) => STACK_GUARD,
        }
    }

    pub(crate) fn most_kept(self) -> Option<usize> {
        match self {
            Self::Memory(_) => None,
            Self::Stack(_) => Some(STACK_KEPT),
        }
    }
}

/// A reserved range of addresses with a memory or a stack in it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) kind: Kind,
    region: Region,
    /// Where it begins in the region.
    begins: usize,
    pub(crate) image: Option<Arc<Image>>,
    /// How much is accessible, from its start.
    pub(crate) allowed: usize,
    /// How much was accessible when it was lent.
    pub(crate) at_first: usize,
    /// Bytes of the pages that it keeps, if it is not lent.
    pub(crate) kept: usize,
    /// When it came back.
    pub(crate) since: Instant,
}

impl Slot {
    /// One of `kind`, of which `allowed` bytes are accessible at first.
    ///
    /// The rest of a memory has page tables of its own, and so has a stack below its last few pages. The kernel has no table
    /// to look through until something is written there.
    pub(crate) fn new(kind: Kind, allowed: usize) -> io::Result<Self> {
        let region = Region::reserve(Self::size(kind))?;
        let edge = match kind {
            Kind::Memory(_) => allowed,
            Kind::Stack(len) => len.saturating_sub(STACK_USED),
        };
        let begins = layout::align_edge(region.addresses(0..0).start, kind.guard(), edge);
        Ok(Self { kind, region, begins, image: None, allowed: 0, at_first: 0, kept: 0, since: Instant::now() })
    }

    /// How many bytes of addresses one takes.
    pub(crate) fn size(kind: Kind) -> usize {
        kind.guard().saturating_mul(2).saturating_add(kind.capacity()).saturating_add(PAGE_TABLE)
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        // SAFETY of what it is used for is the borrower's; the address is within the region.
        NonNull::new(self.region.start().as_ptr().wrapping_add(self.begins)).expect("within the region")
    }

    pub(crate) fn image_id(&self) -> Option<u64> {
        self.image.as_ref().map(|image| image.id())
    }

    /// Gives it the wanted content. It has been reset before.
    pub(crate) fn prepare(&mut self, wanted: &Wanted<'_>) -> io::Result<()> {
        let image = wanted.image.map(|image| image.id());
        if self.image_id() != image || self.allowed != wanted.allowed {
            self.clear(0)?;
            self.image = None;
        }
        if self.allowed < wanted.allowed {
            self.allow(wanted.allowed)?;
        }
        if let Some(image) = wanted.image
            && self.image.is_none()
        {
            for span in image.spans() {
                let at = self.begins + span.at.start;
                self.region.map(at, image.file_of(span.layer), span.offset, span.at.len())?;
            }
            self.image = Some(Arc::clone(image));
        }
        self.at_first = self.allowed;
        Ok(())
    }

    pub(crate) fn allow(&mut self, allowed: usize) -> io::Result<()> {
        self.region.allow(self.place(self.allowed..allowed))?;
        self.allowed = allowed;
        Ok(())
    }

    /// Drops all from `start` on.
    pub(crate) fn clear(&mut self, start: usize) -> io::Result<()> {
        if start == self.allowed {
            return Ok(());
        }
        self.region.clear(self.place(start..self.allowed))?;
        self.allowed = start;
        Ok(())
    }

    /// Restores the content it had when it was lent, and keeps at most `keep` bytes of the written pages.
    pub(crate) fn reset(&mut self, scanner: Option<&Scanner>, keep: usize) -> io::Result<()> {
        // Otherwise the next instance could tell how large this one was.
        if self.allowed > self.at_first {
            self.clear(self.at_first)?;
        }
        // Pages that an earlier use of a stack has kept stay where they are.
        let with_earlier = self.kept.max(STACK_ZEROED);
        if let Kind::Stack(len) = self.kind
            && scanner.is_some()
            && keep >= with_earlier
            && self.was_shallow(len)
        {
            self.region.zero(self.place(len - STACK_ZEROED..len));
            self.kept = with_earlier;
            return Ok(());
        }
        self.kept = 0;
        let mut from = 0;
        if let Some(scanner) = scanner {
            from = self.restore_written(scanner, keep).unwrap_or(0);
        }
        self.region.give_back(self.place(from..self.allowed))
    }

    /// Whether a stack of `len` bytes was used no further than its last [`STACK_ZEROED`] bytes, as most are. Calls that go further
    /// leave their return addresses in the [`STACK_WATCHED`] bytes before.
    fn was_shallow(&self, len: usize) -> bool {
        let zeroed = len.saturating_sub(STACK_ZEROED);
        zeroed >= STACK_WATCHED && self.region.is_zero(self.place(zeroed - STACK_WATCHED..zeroed))
    }

    /// Overwrites written pages, up to `keep` bytes of them. Gives the address up to which none is left.
    pub(crate) fn restore_written(&mut self, scanner: &Scanner, keep: usize) -> io::Result<usize> {
        let page = rustix::param::page_size();
        let origin = self.region.addresses(self.place(0..self.allowed)).start;
        let mut at = 0;
        while at < self.allowed {
            let most = keep.saturating_sub(self.kept) / page;
            if most == 0 {
                break;
            }
            let mut found = [Found::default(); RUNS];
            let (runs, walked) = scanner.scan(origin + at..origin + self.allowed, most, &mut found)?;
            for run in found.iter().take(runs) {
                let addresses = run.addresses();
                let part = addresses.start - origin..addresses.end - origin;
                self.restore(part, run.is_zero_page());
            }
            at = walked - origin;
        }
        Ok(at)
    }

    /// Writes the image's bytes into `part`.
    pub(crate) fn restore(&mut self, part: Range<usize>, is_zero_page: bool) {
        let image = self.image.clone();
        let spans = image.as_ref().map_or(&[][..], |image| image.spans());
        for (piece, content) in layout::contents(spans, part) {
            let place = self.place(piece.clone());
            match content {
                // The kernel's page of zeros is as good as none.
                Content::Zeros if is_zero_page => continue,
                Content::Zeros => self.region.zero(place),
                Content::Of { span, skip } => {
                    let bytes = image.as_ref().map_or(&[][..], |image| image.bytes_of(span));
                    let bytes = bytes.get(skip..skip + piece.len()).expect("a piece lies in its span");
                    self.region.write(place.start, bytes);
                }
            }
            self.kept += piece.len();
        }
    }

    /// Where `part` of the memory or the stack is in the region.
    pub(crate) fn place(&self, part: Range<usize>) -> Range<usize> {
        part.start + self.begins..part.end + self.begins
    }
}

/// Of a stack's end, what most scripts use.
const STACK_USED: usize = 64 << 10;
/// Of a stack's end, what is overwritten without a look at what was used. That costs less than the call that would tell.
const STACK_ZEROED: usize = 16 << 10;
/// Before that. No frame of a host function is so large.
const STACK_WATCHED: usize = 8 << 10;
/// Below a stack.
const STACK_GUARD: usize = 64 << 10;
/// Of a stack's pages. Few programs use more.
const STACK_KEPT: usize = 128 << 10;
/// Runs of written pages that one call looks for.
const RUNS: usize = 128;
