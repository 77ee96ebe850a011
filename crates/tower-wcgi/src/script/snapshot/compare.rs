//! Finds what a start-up keeps of its inputs: makes snapshots with one change each, and compares them.
//!
//! In: a module, and what its start-up may see. Out: the places where its memory differs, with the causes.

use std::ops::Range;
use std::sync::Arc;

use wcgi_memory::Image;

use super::contents::Contents;
use super::entry::{Entry, check};
use super::initialise::Inputs;
use super::key::ensure_no_special_files;
use super::left::{LATER, Left, Place, seed};
use super::own_thread::on_own_thread;
use crate::code::Code;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::package;
use crate::script::compile::code_of;
use crate::script::source::Source;
use crate::script::surroundings::Surroundings;

/// The parts of a [snapshot](crate::_docs::snapshots) that depend on random numbers, the time or the environment. They are the
/// same in every request.
///
/// From [`WcgiBuilder::check_snapshot`](crate::WcgiBuilder::check_snapshot). An empty report proves nothing:
/// a start-up can behave differently at another time of the day.
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

    /// The differences, by cause and address.
    #[must_use]
    pub fn captured(&self) -> &[Captured] {
        &self.captured
    }
}

/// A part of a snapshot that depends on an input.
#[derive(Debug, Clone)]
pub struct Captured {
    cause: Cause,
    place: Place,
}

impl Captured {
    /// The input on which it depends.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Its addresses in the module's memory. None for a global.
    #[must_use]
    pub fn addresses(&self) -> Option<Range<usize>> {
        match &self.place {
            Place::Memory(addresses) => Some(addresses.clone()),
            Place::Global => None,
        }
    }
}

/// The input that was changed between two snapshots.
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
    /// The cause as one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Randomness => "randomness",
            Self::Time => "time",
            Self::Environment => "environment",
        }
    }
}

/// The inputs on which the snapshot of `wasm` depends, if it has a start-up.
///
/// # Errors
///
/// The reason why there can be no snapshot of it.
pub(crate) fn compare(
    engine: &Engine,
    wasm: &[u8],
    source: &Source<'_>,
    surroundings: &Surroundings,
) -> Result<Option<SnapshotReport>, Error> {
    ensure_no_special_files(surroundings)?;
    let Some(entry) = Entry::of(wasm) else { return Ok(None) };
    let code = code_of(engine, wasm, source)?;
    report(engine, &code, wasm, entry, surroundings).map(Some)
}

/// Runs the start-up of `wasm` four times.
///
/// # Errors
///
/// As [`ready`](super::take::ready), except for dependencies that it is about to find.
fn report(
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
