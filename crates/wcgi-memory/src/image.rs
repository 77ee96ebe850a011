//! An image: the content of a memory before anything has run on it.
//!
//! In: the bytes. Out: files in memory that a slot maps. An image that is much like another shares the pages that both have. Its
//! own file holds the pages that differ.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::layout::{self, Layer, MOST_SPANS, Span};
#[cfg(target_os = "linux")]
use crate::map::Sealed;

/// The first content of a memory: some bytes, and zeros.
#[derive(Debug)]
pub struct Image {
    id: u64,
    len: usize,
    spans: Vec<Span>,
    base: Arc<Shared>,
    patch: Option<Bytes>,
    /// Kept, so that the next image that is like it finds it.
    like: Option<Arc<Self>>,
}

/// The part of an image that other images may share.
#[derive(Debug)]
struct Shared {
    spans: Vec<Span>,
    bytes: Bytes,
}

impl Image {
    /// An image of a memory of `len` bytes that begins with `memory` and ends with zeros.
    ///
    /// # Errors
    ///
    /// Fails with the system's error if there is no room for the copy.
    pub fn new(memory: &[u8], len: usize) -> io::Result<Self> {
        let parts = layout::parts(memory, page_size());
        let spans = layout::in_layer(&parts, Layer::Base);
        let base = Arc::new(Shared { bytes: Bytes::of(memory, &parts)?, spans: spans.clone() });
        Ok(Self { id: next_id(), len, spans, base, patch: None, like: None })
    }

    /// An image as from [`new`](Self::new). It shares equal pages with `other`, if most pages are equal.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn like(other: &Arc<Self>, memory: &[u8], len: usize) -> io::Result<Self> {
        let base = &other.base;
        let page = page_size();
        let of_base = |at: usize| base.page(at, page);
        let changed = layout::differences(memory, page, of_base);
        // Nothing may be beyond the end of `memory` either.
        let reaches_beyond = base.spans.last().is_some_and(|span| span.at.end > memory.len());
        let size: usize = changed.iter().map(Range::len).sum();
        let spans = layout::over(&base.spans, &layout::in_layer(&changed, Layer::Patch));
        if reaches_beyond || size > base.bytes.as_slice().len() / 4 || spans.len() > 2 * MOST_SPANS {
            return Self::new(memory, len);
        }
        let patch = if changed.is_empty() { None } else { Some(Bytes::of(memory, &changed)?) };
        let like = Some(Arc::clone(other.like.as_ref().unwrap_or(other)));
        Ok(Self { id: next_id(), len, spans, base: Arc::clone(base), patch, like })
    }

    /// An image of `len` bytes that is `other` but for `parts`, as [`own_parts`](Self::own_parts) gives them.
    ///
    /// # Errors
    ///
    /// Fails with the system's error if there is no room. Fails with invalid input if the parts are not whole pages within `len`, in
    /// the order of addresses, or if `other` has its own parts.
    pub fn patched(other: &Arc<Self>, parts: &[(usize, &[u8])], len: usize) -> io::Result<Self> {
        let page = page_size();
        let mut end = 0;
        for (at, bytes) in parts {
            let is_whole = at % page == 0 && bytes.len() % page == 0;
            if !is_whole || *at < end || at.checked_add(bytes.len()).is_none_or(|end| end > len) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            end = at + bytes.len();
        }
        if other.patch.is_some() || other.spans.last().is_some_and(|span| span.at.end > len) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        let mut places = Vec::new();
        for (at, part) in parts {
            bytes.extend_from_slice(part);
            places.push(*at..at + part.len());
        }
        let spans = layout::over(&other.spans, &layout::in_layer(&places, Layer::Patch));
        let patch =
            if bytes.is_empty() { None } else { Some(Bytes::of(&bytes, std::slice::from_ref(&(0..bytes.len())))?) };
        Ok(Self { id: next_id(), len, spans, base: Arc::clone(&other.base), patch, like: Some(Arc::clone(other)) })
    }

    /// The image whose pages this one shares, if it has only the differences.
    #[must_use]
    pub fn base(&self) -> Option<&Arc<Self>> {
        self.like.as_ref()
    }

    /// How long the memory is at first, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the memory is there at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether both have most of their bytes in common, once in memory.
    #[must_use]
    pub fn shares_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.base, &other.base)
    }

    /// How many bytes are this image's alone.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        let shared = if Arc::strong_count(&self.base) > 1 { 0 } else { self.base.bytes.as_slice().len() };
        shared + self.patch.as_ref().map_or(0, |patch| patch.as_slice().len())
    }

    /// The parts that are not zeros, in the order of addresses: where each lies, and its bytes.
    pub fn parts(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.spans.iter().map(|span| (span.at.start, self.bytes_of(span)))
    }

    /// The parts that differ from the shared ones: where each lies, and its bytes.
    pub fn own_parts(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let own = self.spans.iter().filter(|span| span.layer == Layer::Patch);
        own.map(|span| (span.at.start, self.bytes_of(span)))
    }

    /// The image as one piece.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut memory = vec![0; self.len];
        for (at, bytes) in self.parts() {
            // The last page may end beyond the memory.
            let len = bytes.len().min(self.len.saturating_sub(at));
            if let (Some(target), Some(source)) = (memory.get_mut(at..at + len), bytes.get(..len)) {
                target.copy_from_slice(source);
            }
        }
        memory
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn file_of(&self, layer: Layer) -> &Sealed {
        match (layer, &self.patch) {
            (Layer::Patch, Some(patch)) => patch,
            _ => &self.base.bytes,
        }
    }

    pub(crate) fn bytes_of(&self, span: &Span) -> &[u8] {
        let bytes = match (span.layer, &self.patch) {
            (Layer::Patch, Some(patch)) => patch,
            _ => &self.base.bytes,
        };
        bytes.as_slice().get(span.offset..span.offset + span.at.len()).expect("a span lies in its layer")
    }
}

impl Shared {
    fn page(&self, at: usize, page: usize) -> Option<&[u8]> {
        let next = self.spans.partition_point(|span| span.at.end <= at);
        let span = self.spans.get(next).filter(|span| span.at.start <= at)?;
        let start = span.offset + (at - span.at.start);
        self.bytes.as_slice().get(start..start + page)
    }
}

#[cfg(target_os = "linux")]
type Bytes = Sealed;

#[cfg(target_os = "linux")]
fn page_size() -> usize {
    rustix::param::page_size()
}

#[cfg(not(target_os = "linux"))]
use elsewhere::{Bytes, page_size};

/// Without slots an image is copied, and needs no file.
#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::io;
    use std::ops::Range;

    #[derive(Debug)]
    pub(super) struct Bytes(Vec<u8>);

    impl Bytes {
        pub(super) fn of(memory: &[u8], parts: &[Range<usize>]) -> io::Result<Self> {
            let mut bytes = Vec::with_capacity(parts.iter().map(Range::len).sum());
            for part in parts {
                bytes.extend_from_slice(memory.get(part.start..part.end.min(memory.len())).unwrap_or_default());
                bytes.resize(bytes.len() + part.end.saturating_sub(memory.len().max(part.start)), 0);
            }
            Ok(Self(bytes))
        }

        pub(super) fn as_slice(&self) -> &[u8] {
            &self.0
        }
    }

    pub(super) fn page_size() -> usize {
        4096
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(pages: &[(usize, u8)], len: usize) -> Vec<u8> {
        let mut memory = vec![0; len * page_size()];
        for (page, byte) in pages {
            memory[page * page_size()..(page + 1) * page_size()].fill(*byte);
        }
        memory
    }

    #[test]
    fn an_image_gives_back_what_it_was_made_of() {
        for pages in [&[][..], &[(0, 1)], &[(3, 7), (40, 8), (99, 9)]] {
            let memory = memory(pages, 100);
            let image = Image::new(&memory, memory.len()).unwrap();
            assert_eq!(image.to_vec(), memory);
            assert_eq!(image.len(), memory.len());
        }
    }

    #[test]
    fn an_image_like_another_keeps_only_what_differs() {
        let pages: Vec<_> = (0..50).map(|page| (page, 1)).collect();
        let one = memory(&pages, 100);
        let mut two = one.clone();
        two[17] = 2;
        two[60 * page_size()] = 3;
        // Zeros where the other has something.
        two[20 * page_size()..21 * page_size()].fill(0);
        let first = Arc::new(Image::new(&one, one.len()).unwrap());
        let second = Image::like(&first, &two, two.len()).unwrap();
        assert!(second.shares_with(&first));
        assert_eq!(second.own_bytes(), 3 * page_size());
        assert_eq!(second.to_vec(), two);
        assert_eq!(first.to_vec(), one);
        let parts: Vec<_> = second.own_parts().collect();
        let third = Image::patched(&first, &parts, two.len()).unwrap();
        assert_eq!(third.to_vec(), two);
        for wrong in [&[(1, &one[..page_size()])][..], &[(0, &one[..1])], &[(one.len(), &one[..page_size()])]] {
            assert!(Image::patched(&first, wrong, one.len()).is_err());
        }
        drop(first);
        assert_eq!(second.to_vec(), two);
    }

    #[test]
    fn an_image_unlike_another_shares_nothing() {
        let one = memory(&[(0, 1), (1, 1)], 10);
        let first = Arc::new(Image::new(&one, one.len()).unwrap());
        for other in [memory(&[(0, 2), (1, 2)], 10), memory(&[(0, 1)], 1)] {
            let second = Image::like(&first, &other, other.len()).unwrap();
            assert!(!second.shares_with(&first));
            assert_eq!(second.to_vec(), other);
        }
    }
}
