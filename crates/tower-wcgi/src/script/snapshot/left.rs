//! What a start-up has left, and where it comes out differently with other inputs.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::entry::Entry;
use super::initialise::{Inputs, initialise};
use crate::code::{Code, Globals};
use crate::error::{Error, ErrorKind};
use crate::script::surroundings::Surroundings;

/// What a start-up has left.
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

    /// Where `other` is not the same, in words, if it is not.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let places = self.differences(other);
        Some(match places.first()? {
            Place::Memory(first) => {
                format!("its memory (from address {:#x} on, in {} places)", first.start, places.len())
            }
            Place::Global => "a global".to_owned(),
        })
    }

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

/// Where two images differ.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Memory(Range<usize>),
    /// One global at least, where the memory is the same.
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
/// Up to this many bytes that are the same belong to what is around them.
const NEAR: usize = 16;
/// What is compared at once.
const PIECE: usize = 4096;
