//! Executables that are a package: this program, and behind it a package with its compiled code.
//!
//! ```text
//! this program │ tar of the package │ trailer: magic, where the tar begins, its length, the memory limit
//! ```
//!
//! [`write`](mod@write) makes one. [`unpack`](mod@unpack) puts the package of a running one into a temporary folder, and
//! [`start`](mod@start) serves it.

pub(crate) mod start;
mod unpack;
#[cfg(feature = "compiler")]
pub(crate) mod write;

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Where the package is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trailer {
    /// Of the first byte of the archive.
    offset: u64,
    length: u64,
    /// The limit that the code was compiled for.
    max_memory: u64,
}

impl Trailer {
    /// Reads the end of a file: nothing when there is no package behind the program.
    fn read(file: &mut File) -> io::Result<Option<Self>> {
        let end = file.seek(SeekFrom::End(0))?;
        let Some(begin) = end.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
        file.seek(SeekFrom::Start(begin))?;
        let mut bytes = [0; TRAILER_BYTES];
        file.read_exact(&mut bytes)?;
        let Some(numbers) = bytes.strip_prefix(MAGIC) else { return Ok(None) };
        let mut numbers = numbers.chunks_exact(8).map(|number| {
            let number: [u8; 8] = number.try_into().unwrap_or_default();
            u64::from_le_bytes(number)
        });
        let mut next = || numbers.next().unwrap_or_default();
        let trailer = Self { offset: next(), length: next(), max_memory: next() };
        if trailer.offset.checked_add(trailer.length) != Some(begin) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file was cut short or something was added"));
        }
        Ok(Some(trailer))
    }

    #[cfg(feature = "compiler")]
    fn bytes(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for number in [self.offset, self.length, self.max_memory] {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }
}

/// The guest paths that scripts of a package directory write to, and the directories there, relative to it.
///
/// # Errors
///
/// When there is no manifest.
pub(crate) fn writable_mounts(package: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let file = package.join("wasmer.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let manifest: toml::Table = text.parse().with_context(|| format!("cannot read {}", file.display()))?;
    let mounts = manifest.get("fs").and_then(toml::Value::as_table);
    let writable = |(guest, mount): (&String, &toml::Value)| {
        let text = |key: &str| mount.get(key).and_then(toml::Value::as_str);
        (text("mode") == Some("rw")).then(|| (guest.clone(), PathBuf::from(text("path").unwrap_or_default())))
    };
    Ok(mounts.into_iter().flatten().filter_map(writable).collect())
}

const MAGIC: &[u8; 16] = b"\0wcgi executable";
const TRAILER_BYTES: usize = MAGIC.len() + 3 * 8;
/// The key of a file's time in an archive. Seconds are not enough: a start-up may have kept the time.
const MTIME: &str = "mtime";

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_package_is_found_behind_the_program_and_only_where_all_of_it_is() {
        let trailer = Trailer { offset: 7, length: 3, max_memory: 1 << 28 };
        let whole = [b"program", &b"tar"[..], &trailer.bytes()].concat();
        assert_eq!(Trailer::read(&mut file(&whole)).unwrap(), Some(trailer));
        for none in [&b""[..], b"program", &whole[..whole.len() - 1], &[&whole[..], b"x"].concat()] {
            assert_eq!(Trailer::read(&mut file(none)).unwrap(), None);
        }
        Trailer::read(&mut file(&whole[1..])).unwrap_err();
        let far = Trailer { offset: u64::MAX, ..trailer };
        Trailer::read(&mut file(&far.bytes())).unwrap_err();
    }
}
