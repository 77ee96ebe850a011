//! The state that a start-up has left, and the places where it differs with other inputs.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::entry::Entry;
use super::initialise::{Inputs, initialise};
use crate::code::{Code, Globals};
use crate::error::{Error, ErrorKind};
use crate::script::surroundings::Surroundings;

/// The state that a start-up has left.
pub(super) struct Left {
    pub(super) memory: Vec<u8>,
    /// By their index.
    pub(super) globals: Globals,
    pub(super) random_was_read: bool,
    pub(super) time_was_read: bool,
}

impl Left {
    pub(super) async fn run(
        code: &Arc<Code>,
        entry: Entry,
        surroundings: &Surroundings,
        inputs: Inputs,
    ) -> Result<Self, Error> {
        let mut initialised = initialise(code, entry.initialize, surroundings, inputs).await?;
        let state = code.state(&mut initialised.store, &initialised.instance);
        let (memory, globals) = state.ok_or_else(|| Error::new(ErrorKind::Module, "its state cannot be read"))?;
        let (random_was_read, time_was_read) = (initialised.random_was_read, initialised.time_was_read);
        Ok(Self { memory, globals, random_was_read, time_was_read })
    }

    /// The first difference from `other` in words, if there is one.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let places = self.differences(other);
        Some(match places.first()? {
            Place::Memory(first) => {
                format!("its memory (from address {:#x} on, in {} places)", first.start, places.len())
            }
            Place::Global => "a global".to_owned(),
        })
    }

    /// The differences from `other`, in the order of addresses. Equal bytes between two differences count with
    /// them: two numbers always share some bytes.
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

/// The places where two images differ.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Memory(Range<usize>),
    /// At least one global, while the memory is the same.
    Global,
}

fn piece(memory: &[u8], start: usize) -> Option<&[u8]> {
    memory.get(start..(start + PIECE).min(memory.len()))
}

impl Inputs {
    /// The time, and random numbers that nobody has had.
    pub(super) fn now() -> Result<Self, Error> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { seed: seed()?, time })
    }
}

pub(super) fn seed() -> Result<[u8; 32], Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Error::new(ErrorKind::Host, "the host has no random numbers").with_source(error))?;
    Ok(seed)
}

/// Another year, month, weekday, hour, minute and second.
pub(super) const LATER: Duration = Duration::from_secs(400 * 24 * 60 * 60 + 3661);
/// Up to this many equal bytes belong to the differences around them.
const NEAR: usize = 16;
/// The number of bytes that are compared at once.
const PIECE: usize = 4096;
