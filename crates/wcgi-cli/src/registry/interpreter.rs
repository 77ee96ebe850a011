//! Interpreters: which version of one a new package or a folder of scripts runs on.
//!
//! In: the version that is meant for them, and what is on this machine. Out: the reference to depend on.

use wcgi_registry::{Options, Reference, Registry, Runtime};

/// An interpreter to depend on.
#[derive(Debug)]
pub(crate) struct Interpreter {
    /// `NAME:VERSION`.
    pub(crate) reference: String,
    /// Whether it is on this machine, or a registry is set that may have it.
    pub(crate) is_known: bool,
}

/// The interpreter `wanted`, if it was added to the store of `registry` or a registry is set. Else the newest other version that
/// was added.
pub(crate) fn choose(wanted: &str, registry: &Registry) -> anyhow::Result<Interpreter> {
    let has_registry = Options::from_environment()?.has_registry();
    Ok(among(&Reference::parse(wanted)?, has_registry, &registry.runtimes()))
}

fn among(wanted: &Reference, has_registry: bool, runtimes: &[Runtime]) -> Interpreter {
    let of_name = |runtime: &&Runtime| runtime.added && runtime.reference.name() == wanted.name();
    let added: Vec<_> = runtimes.iter().filter(of_name).map(|runtime| &runtime.reference).collect();
    if has_registry || added.contains(&wanted) {
        return Interpreter { reference: wanted.to_string(), is_known: true };
    }
    match added.iter().max_by_key(|reference| numbers(reference.tag().unwrap_or_default())) {
        Some(newest) => Interpreter { reference: newest.to_string(), is_known: true },
        None => Interpreter { reference: wanted.to_string(), is_known: false },
    }
}

/// What to do where an interpreter is nowhere.
pub(crate) fn how_to_have(reference: &str) -> String {
    format!("`wcgi runtime add {reference} FILE`, or set WCGI_REGISTRY to a registry that has it")
}

/// The numbers of a version: 8.10 is newer than 8.4.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        assert!(numbers("8.10") > numbers("8.4"));
        assert!(numbers("8.4.1") > numbers("8.4"));
        assert_eq!(numbers("latest"), [0; 0]);
    }
}
