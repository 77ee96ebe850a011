//! The size of a module's initial data.

use wasmparser::{Parser, Payload};

/// The data in the memory of a module before it runs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Contents {
    pub(crate) bytes: usize,
    /// The number of places in memory.
    pub(crate) spans: usize,
}

impl Contents {
    /// The initial data of `wasm`.
    pub(crate) fn of(wasm: &[u8]) -> Self {
        let data = Parser::new(0).parse_all(wasm).find_map(|payload| match payload {
            Ok(Payload::DataSection(data)) => Some(data),
            _ => None,
        });
        let spans = data.into_iter().flat_map(|data| data.into_iter().flatten());
        spans.fold(Self::default(), |sum, span| Self { bytes: sum.bytes + span.data.len(), spans: sum.spans + 1 })
    }
}
