//! The default of every limit, in one place. A test compares the documents and `wcgi` with it.

use std::time::Duration;

/// An exchange that waits for a slow client holds a slot, so this is far above the number of cores.
pub(crate) const MAX_CONCURRENCY: usize = 128;
/// A burst waits instead of failing, and memory stays bounded.
pub(crate) const QUEUE: usize = 1024;
/// Below the usual patience of a proxy.
pub(crate) const QUEUE_WAIT: Duration = Duration::from_secs(10);
/// Twice PHP's own default limit.
pub(crate) const MAX_MEMORY: usize = 256 << 20;
/// Sixteen bodies of the largest size.
pub(crate) const MAX_SPOOL: u64 = 1 << 30;
/// The next instance finds its pages there; an idle server gives them back.
pub(crate) const KEEP_RESIDENT: usize = 256 << 20;
/// Interpreters take seconds, on a busy machine a minute.
#[cfg(feature = "compiler")]
pub(crate) const MAX_COMPILE_TIME: Duration = Duration::from_secs(300);
/// The largest interpreters take half of that.
#[cfg(feature = "compiler")]
pub(crate) const MAX_COMPILE_MEMORY: u64 = 2 << 30;
/// PHP's own `max_execution_time`.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// Above common upload limits (PHP: 8 MiB), far below a disk.
pub(crate) const MAX_BODY: u64 = 64 << 20;
/// Most pages at once; a slow client holds no more.
pub(crate) const RESPONSE_BUFFER: usize = 64 << 10;
/// Four uploads of the largest size.
pub(crate) const MAX_TMP: u64 = 256 << 20;
/// A large application with a warm-up takes some ten seconds.
pub(crate) const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(60);

#[cfg(test)]
#[cfg(feature = "compiler")]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Each setting with its default, as documents write it.
    fn all() -> Vec<(&'static str, String)> {
        vec![
            ("max_concurrency", MAX_CONCURRENCY.to_string()),
            ("queue", QUEUE.to_string()),
            ("queue_wait", time(QUEUE_WAIT)),
            ("max_memory", size(MAX_MEMORY as u64)),
            ("max_spool", size(MAX_SPOOL)),
            ("keep_resident", size(KEEP_RESIDENT as u64)),
            ("max_compile_time", time(MAX_COMPILE_TIME)),
            ("max_compile_memory", size(MAX_COMPILE_MEMORY)),
            ("deadline", time(DEADLINE)),
            ("max_body", size(MAX_BODY)),
            ("response_buffer", size(RESPONSE_BUFFER as u64)),
            ("max_tmp", size(MAX_TMP)),
            ("snapshot_deadline", time(SNAPSHOT_DEADLINE)),
        ]
    }

    fn size(bytes: u64) -> String {
        [(30, "GiB"), (20, "MiB"), (10, "KiB")]
            .into_iter()
            .find(|(bits, _)| bytes.is_multiple_of(1 << bits))
            .map_or_else(|| bytes.to_string(), |(bits, unit)| format!("{} {unit}", bytes >> bits))
    }

    fn time(time: Duration) -> String {
        match time.as_secs() {
            seconds if seconds > 60 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
            seconds => format!("{seconds} s"),
        }
    }

    fn read(path: &str) -> Option<String> {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
    }

    /// The default is a cell of a table, or a part of one.
    fn says(row: &str, default: &str) -> bool {
        row.split('|').flat_map(|cell| cell.split(", ")).any(|part| part.trim() == default)
    }

    #[test]
    fn documents_say_the_defaults_that_there_are() {
        let mut rows = 0;
        for path in ["docs/limits.md", "docs/crate.md", "src/builder/mod.rs", "src/engine/mod.rs", "../../README.md"] {
            let Some(text) = read(path) else { continue };
            for (setting, default) in all() {
                let names = [
                    format!("Builder::{setting})"),
                    format!("](Self::{setting}) |"),
                    format!("`--{}`", setting.replace('_', "-")),
                ];
                let tells = |row: &&str| row.contains('|') && names.iter().any(|name| row.contains(name));
                for row in text.lines().filter(tells) {
                    let of_engine = setting == "max_memory" && row.contains("the engine's");
                    assert!(of_engine || says(row, &default), "{path} says of {setting}, which is {default}: {row}");
                    rows += 1;
                }
            }
        }
        assert!(rows >= 2 * all().len(), "only {rows} rows were found");
    }

    #[test]
    fn the_program_has_the_same_defaults() {
        let Some(arguments) = read("../wcgi-cli/src/arguments/mod.rs") else { return };
        for (setting, default) in all() {
            let Some((before, _)) = arguments.split_once(&format!("pub(crate) {setting}: ")) else { continue };
            let attribute = before.rsplit_once("#[arg(").unwrap().1;
            let given = attribute.split("default_value = \"").nth(1).unwrap().split('"').next().unwrap();
            let seconds = given.parse().ok().map(|seconds| time(Duration::from_secs(seconds)));
            let is_same = given == default.replace(' ', "") || seconds.as_ref() == Some(&default);
            assert!(is_same, "{setting} is {default} in the library and {given} in wcgi");
        }
    }
}
