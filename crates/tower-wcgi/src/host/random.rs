//! Random numbers for guests, in pieces: wasmtime-wasi makes up to 64 MiB in one go, while nobody else gets the thread.

use std::ops::Range;

/// The pieces that `len` bytes are made in, between which others get the thread.
pub(super) fn pieces(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(PIECE).map(move |start| start..len.min(start + PIECE))
}

/// As much as takes some tens of microseconds.
const PIECE: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_in_one_piece() {
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE] {
            let mut end = 0;
            for piece in pieces(len) {
                assert!(piece.start == end && !piece.is_empty() && piece.len() <= PIECE);
                end = piece.end;
            }
            assert_eq!(end, len);
        }
    }
}
