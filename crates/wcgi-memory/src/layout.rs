//! Where the bytes of an image come from, as plain numbers: which bytes of a memory lie in which layer, and which in none.
//!
//! Pure: no memory is touched here. All positions are in bytes and multiples of a page.

use std::ops::Range;

/// A part of an image that is not all zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// Where it lies in the memory.
    pub(crate) at: Range<usize>,
    pub(crate) layer: Layer,
    /// Where its first byte lies in the layer.
    pub(crate) offset: usize,
}

/// Images made one after the other mostly differ in few pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// What several images may share.
    Base,
    /// The differences of one image.
    Patch,
}

/// The parts of `memory` that are not all zeros, by pages. Parts with few zeros between them count as one. There are at most
/// [`MOST_SPANS`] parts.
pub(crate) fn parts(memory: &[u8], page: usize) -> Vec<Range<usize>> {
    let used = memory.chunks(page).enumerate().filter(|(_, bytes)| bytes.iter().any(|byte| *byte != 0));
    let used = used.map(|(n, _)| n * page..(n + 1) * page).collect();
    merged(used, GAP_PAGES * page, MOST_SPANS)
}

/// The parts of `memory`, by pages, that differ from what `other` gives for their place.
pub(crate) fn differences<'o>(
    memory: &[u8],
    page: usize,
    other: impl Fn(usize) -> Option<&'o [u8]>,
) -> Vec<Range<usize>> {
    let differs = |(n, bytes): &(usize, &[u8])| match other(n * page) {
        Some(content) => content != *bytes,
        None => bytes.iter().any(|byte| *byte != 0),
    };
    let changed = memory.chunks(page).enumerate().filter(differs).map(|(n, _)| n * page..(n + 1) * page).collect();
    merged(changed, page, usize::MAX)
}

/// Where to begin, at `least` or behind it, so that `edge` bytes further a page table begins; all counted from `origin`. The
/// place is page-aligned if `origin` and `least` are.
pub(crate) fn align_edge(origin: usize, least: usize, edge: usize) -> usize {
    let edge = edge.next_multiple_of(ALIGNMENT);
    let first = origin.saturating_add(least).saturating_add(edge);
    least + (first.next_multiple_of(PAGE_TABLE) - first)
}

/// One span after the other in a layer, for `parts` of a memory.
pub(crate) fn in_layer(parts: &[Range<usize>], layer: Layer) -> Vec<Span> {
    let mut offset = 0;
    let place = |at: &Range<usize>| {
        let span = Span { at: at.clone(), layer, offset };
        offset += at.len();
        span
    };
    parts.iter().map(place).collect()
}

/// `base` with `patch` over it. Both are in the order of addresses, and so is the result.
pub(crate) fn over(base: &[Span], patch: &[Span]) -> Vec<Span> {
    let mut spans = patch.to_vec();
    for span in base {
        let mut rest = span.clone();
        for hole in
            patch.iter().map(|patch| &patch.at).filter(|hole| hole.start < span.at.end && span.at.start < hole.end)
        {
            if rest.at.start < hole.start {
                spans.push(Span { at: rest.at.start..hole.start, ..rest });
            }
            let start = hole.end.clamp(rest.at.start, rest.at.end);
            rest = Span { offset: rest.offset + (start - rest.at.start), at: start..rest.at.end, layer: rest.layer };
        }
        if !rest.at.is_empty() {
            spans.push(rest);
        }
    }
    spans.sort_unstable_by_key(|span| span.at.start);
    spans
}

/// The content that a part of a memory must have to match its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content<'s> {
    /// The bytes of this span, from `skip` on.
    Of {
        span: &'s Span,
        skip: usize,
    },
    Zeros,
}

/// The pieces that make up `region` in a memory whose image has `spans`.
pub(crate) fn contents(spans: &[Span], region: Range<usize>) -> impl Iterator<Item = (Range<usize>, Content<'_>)> {
    let mut next = spans.partition_point(|span| span.at.end <= region.start);
    let mut at = region.start;
    std::iter::from_fn(move || {
        if at >= region.end {
            return None;
        }
        let start = at;
        let content = match spans.get(next) {
            Some(span) if span.at.start <= start => {
                at = span.at.end.min(region.end);
                next += 1;
                Content::Of { span, skip: start - span.at.start }
            }
            Some(span) => {
                at = span.at.start.min(region.end);
                Content::Zeros
            }
            None => {
                at = region.end;
                Content::Zeros
            }
        };
        Some((start..at, content))
    })
}

/// Joins `parts` that have less than `gap` between them, and then the closest ones until there are at most `most`. `parts` are in
/// order.
fn merged(parts: Vec<Range<usize>>, mut gap: usize, most: usize) -> Vec<Range<usize>> {
    loop {
        let mut joined: Vec<Range<usize>> = Vec::new();
        for part in &parts {
            match joined.last_mut() {
                Some(last) if part.start - last.end < gap => last.end = part.end,
                _ => joined.push(part.clone()),
            }
        }
        if joined.len() <= most {
            return joined;
        }
        gap *= 2;
    }
}

/// So many pages of zeros between two parts cost less in an image than as one more mapping.
const GAP_PAGES: usize = 16;
/// Each is a mapping of its own in every slot, and the kernel has 65,530 for a process.
pub(crate) const MOST_SPANS: usize = 64;

/// What one page table of the last level maps, in bytes, where pages have 4 KiB. Elsewhere nothing is wrong, and nothing gained.
pub(crate) const PAGE_TABLE: usize = 2 << 20;
/// A multiple of every page size.
const ALIGNMENT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: usize = 4;

    /// A memory of some pages, mostly zeros.
    fn memories() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![4 => Just(0_u8), 1 => 1_u8..4], 0..200)
            .prop_map(|pages| pages.iter().flat_map(|page| [*page, 0, *page, 0]).collect())
    }

    /// What a layer holds of `memory`.
    fn layer(memory: &[u8], parts: &[Range<usize>]) -> Vec<u8> {
        parts.iter().flat_map(|part| memory[part.clone()].iter().copied()).collect()
    }

    /// The memory that `spans` describe.
    fn built(spans: &[Span], base: &[u8], patch: &[u8], len: usize) -> Vec<u8> {
        let mut memory = Vec::new();
        for (at, content) in contents(spans, 0..len) {
            assert_eq!(at.start, memory.len(), "no gap and no overlap");
            match content {
                Content::Zeros => memory.resize(at.end, 0),
                Content::Of { span, skip } => {
                    let bytes = if span.layer == Layer::Base { base } else { patch };
                    memory.extend_from_slice(&bytes[span.offset + skip..][..at.len()]);
                }
            }
        }
        memory
    }

    proptest! {
        #[test]
        fn an_image_holds_what_it_was_made_of(memory in memories()) {
            let parts = parts(&memory, PAGE);
            let spans = in_layer(&parts, Layer::Base);
            prop_assert_eq!(built(&spans, &layer(&memory, &parts), &[], memory.len()), memory);
        }

        #[test]
        fn a_patch_makes_one_memory_of_another(one in memories(), other in memories()) {
            let base_parts = parts(&one, PAGE);
            let base = in_layer(&base_parts, Layer::Base);
            let base_bytes = layer(&one, &base_parts);
            let of_base = |at: usize| base.iter().find(|span| span.at.contains(&at)).map(|span| {
                &base_bytes[span.offset + (at - span.at.start)..][..PAGE]
            });
            let changed = differences(&other, PAGE, of_base);
            let spans = over(&base, &in_layer(&changed, Layer::Patch));
            prop_assert_eq!(built(&spans, &base_bytes, &layer(&other, &changed), other.len()), other);
        }

        #[test]
        fn any_part_of_a_memory_comes_out_as_that_part(memory in memories(), start in 0_usize..200, pages in 0_usize..50) {
            let parts = parts(&memory, PAGE);
            let spans = in_layer(&parts, Layer::Base);
            let bytes = layer(&memory, &parts);
            let region = start * PAGE..(start + pages) * PAGE;
            let mut at = region.start;
            for (place, content) in contents(&spans, region.clone()) {
                prop_assert_eq!(place.start, at);
                at = place.end;
                for byte in place.clone() {
                    let expected = memory.get(byte).copied().unwrap_or(0);
                    let found = match &content {
                        Content::Zeros => 0,
                        Content::Of { span, skip } => bytes[span.offset + skip + (byte - place.start)],
                    };
                    prop_assert_eq!(found, expected);
                }
            }
            prop_assert_eq!(at, region.end);
        }
    }

    #[test]
    fn there_are_never_more_spans_than_mappings_are_to_be_had() {
        let mut memory = vec![0; 1000 * 40 * PAGE];
        memory.iter_mut().step_by(40 * PAGE).for_each(|byte| *byte = 1);
        let parts = parts(&memory, PAGE);
        assert!(parts.len() <= MOST_SPANS && !parts.is_empty());
        assert_eq!(built(&in_layer(&parts, Layer::Base), &layer(&memory, &parts), &[], memory.len()), memory);
    }

    #[test]
    fn an_edge_is_where_a_page_table_begins() {
        for (origin, least, edge) in
            [(0, 0, 0), (4096, 64 << 10, 128 << 10), (3 << 20, 32 << 20, 1), (7 << 12, 4096, 5 << 20)]
        {
            let begins = align_edge(origin, least, edge);
            assert!((least..least + PAGE_TABLE).contains(&begins));
            assert_eq!((origin + begins + edge.next_multiple_of(ALIGNMENT)) % PAGE_TABLE, 0);
            assert_eq!(begins % 4096, 0);
        }
    }
}
