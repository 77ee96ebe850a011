//! What a start-up keeps of the outside: snapshots made with one thing changed at a time, and compared.
//!
//! In: a module, and what its start-up may see. Out: where its memory comes out differently, and why.

use std::ops::Range;
use std::sync::Arc;

use wcgi_memory::Image;

use super::{Contents, Entry, Inputs, LATER, Left, check, seed};
use crate::code::Code;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::exchange::initialisation::{Surroundings, on_own_thread};
use crate::package;

/// What of the outside a [snapshot](crate::_docs::snapshots) keeps, so that it is the same in every request.
///
/// From [`WcgiBuilder::check_snapshot`](crate::WcgiBuilder::check_snapshot). Nothing in it is no proof that there is nothing:
/// a start-up can do another thing at another time of the day.
#[derive(Debug, Clone)]
pub struct SnapshotReport {
    contents: Contents,
    captured: Vec<Captured>,
}

impl SnapshotReport {
    /// How many bytes the snapshot begins with in its memory, and in how many spans.
    #[must_use]
    pub fn data(&self) -> (usize, usize) {
        (self.contents.bytes, self.contents.spans)
    }

    /// What came out differently, by cause and address.
    #[must_use]
    pub fn captured(&self) -> &[Captured] {
        &self.captured
    }
}

/// A part of a snapshot that depends on the outside.
#[derive(Debug, Clone)]
pub struct Captured {
    cause: Cause,
    place: Place,
}

impl Captured {
    /// What it depends on.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Where in the module's memory it is; nothing for a global.
    #[must_use]
    pub fn addresses(&self) -> Option<Range<usize>> {
        match &self.place {
            Place::Memory(addresses) => Some(addresses.clone()),
            Place::Global => None,
        }
    }
}

/// What was changed between two snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Random numbers: those of the snapshot are in every request.
    Randomness,
    /// The time of the start-up.
    Time,
    /// The environment of the start-up: the package's, and never the host's or a request's.
    Environment,
}

impl Cause {
    /// It in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Randomness => "randomness",
            Self::Time => "time",
            Self::Environment => "environment",
        }
    }
}

/// Where two images differ.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Memory(Range<usize>),
    /// One global at least, where the memory is the same.
    Global,
}

impl Left {
    /// Where `other` is not the same, in the order of addresses. Bytes that are the same between two that are not count with
    /// them: some bytes of two numbers are always the same.
    pub(super) fn differences(&self, other: &Self) -> Vec<Place> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let len = self.memory.len().max(other.memory.len());
        let differing = |start: &usize| piece(&self.memory, *start) != piece(&other.memory, *start);
        let pieces = (0..len).step_by(PIECE).filter(differing).flat_map(|start| start..(start + PIECE).min(len));
        for address in pieces.filter(|at| self.memory.get(*at) != other.memory.get(*at)) {
            match ranges.last_mut() {
                Some(last) if address - last.end < NEAR => last.end = address + 1,
                _ => ranges.push(address..address + 1),
            }
        }
        if ranges.is_empty() && !self.has_globals_of(other) {
            return vec![Place::Global];
        }
        ranges.into_iter().map(Place::Memory).collect()
    }

    fn has_globals_of(&self, other: &Self) -> bool {
        let bits =
            |left: &Self| left.globals.iter().map(|(index, value)| format!("{index} {value:?}")).collect::<Vec<_>>();
        bits(self) == bits(other)
    }
}

fn piece(memory: &[u8], start: usize) -> Option<&[u8]> {
    memory.get(start..(start + PIECE).min(memory.len()))
}

/// Runs the start-up of `wasm` four times.
///
/// # Errors
///
/// As [`ready`](super::ready), but for what it is about to find out.
pub(in crate::script) fn compare(
    engine: &Engine,
    code: &Arc<Code>,
    wasm: &[u8],
    entry: Entry,
    surroundings: &Surroundings,
) -> Result<SnapshotReport, Error> {
    check(code, wasm, entry)?;
    on_own_thread(engine.threads(), async || {
        let with_canary = || {
            let mut surroundings = surroundings.clone();
            let content = blake3::hash(&seed()?).to_hex();
            package::set_env(&mut surroundings.env, "WCGI_CANARY", &content);
            Ok::<_, Error>(surroundings)
        };
        let (surroundings, inputs) = (with_canary()?, Inputs::now()?);
        let left = Left::run(code, entry, &surroundings, inputs).await?;
        let mut captured = Vec::new();
        for (cause, surroundings, inputs) in [
            (Cause::Randomness, surroundings.clone(), Inputs { seed: seed()?, ..inputs }),
            (Cause::Time, surroundings.clone(), Inputs { time: inputs.time + LATER, ..inputs }),
            (Cause::Environment, with_canary()?, inputs),
        ] {
            let places = left.differences(&Left::run(code, entry, &surroundings, inputs).await?);
            captured.extend(places.into_iter().map(|place| Captured { cause, place }));
        }
        let image = Image::new(&left.memory, left.memory.len())
            .map_err(|error| Error::new(ErrorKind::Host, "there is no room for a snapshot").with_source(error))?;
        let (bytes, spans) = image.parts().fold((0, 0), |(bytes, spans), (_, part)| (bytes + part.len(), spans + 1));
        Ok(SnapshotReport { contents: Contents { bytes, spans }, captured })
    })
}

/// Up to this many bytes that are the same belong to what is around them.
const NEAR: usize = 16;
/// What is compared at once.
const PIECE: usize = 4096;
