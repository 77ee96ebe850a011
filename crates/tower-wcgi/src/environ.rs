//! The environment block that a script reads. It has every meta-variable.
//!
//! In: names and values. Out: one buffer of `NAME=VALUE\0`, with the offset of each variable. WASI preview 1 copies both into
//! the guest in `environ_get`. It must not know which variables CGI has.

use std::fmt::{self, Display};
use std::io::Write as _;

/// Environment variables in the order they were pushed. Values are any bytes except NUL.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environ {
    block: Vec<u8>,
    offsets: Vec<u32>,
}

/// Why an environment block cannot hold a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvalidVariable {
    /// Its name is empty, or has a `=` or a NUL.
    Name,
    /// Its value has a NUL.
    Value,
    /// The block would outgrow a 32-bit memory.
    TooLong,
}

impl Environ {
    /// An empty environment with room for `variables` variables of `bytes` bytes together.
    pub(crate) fn with_capacity(bytes: usize, variables: usize) -> Self {
        Self { block: Vec::with_capacity(bytes), offsets: Vec::with_capacity(variables) }
    }

    /// Adds a variable. The caller must set each name only once.
    pub(crate) fn push(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidVariable> {
        self.append(|block| block.extend_from_slice(name.as_bytes()), |block| block.extend_from_slice(value.as_ref()))
    }

    /// Adds a variable whose value is made of parts, without an allocation for the whole.
    pub(crate) fn push_joined(&mut self, name: &str, parts: &[&[u8]]) -> Result<(), InvalidVariable> {
        self.append(
            |block| block.extend_from_slice(name.as_bytes()),
            |block| parts.iter().for_each(|part| block.extend_from_slice(part)),
        )
    }

    /// Adds a variable with a number, an address or the like, without an allocation for its text.
    pub(crate) fn push_display(&mut self, name: &str, value: impl Display) -> Result<(), InvalidVariable> {
        self.append(
            |block| block.extend_from_slice(name.as_bytes()),
            |block| write!(block, "{value}").expect("neither a Vec nor the types of std and http fail to write"),
        )
    }

    /// Adds the protocol-specific variable of a header. Its name is in upper case, with `_` for `-` and `HTTP_` before it
    /// (RFC 3875 §4.1.18). Its values are joined by `separator`.
    pub(crate) fn push_header<'v>(
        &mut self,
        header: &str,
        values: impl IntoIterator<Item = &'v [u8]>,
        separator: &[u8],
    ) -> Result<(), InvalidVariable> {
        self.append(
            |block| {
                block.extend_from_slice(HEADER_PREFIX);
                block.extend(header.bytes().map(variable_byte));
            },
            |block| {
                for (n, value) in values.into_iter().enumerate() {
                    if n > 0 {
                        block.extend_from_slice(separator);
                    }
                    block.extend_from_slice(value);
                }
            },
        )
    }

    /// Adds those variables of another environment whose names `keep` accepts, as they are.
    pub(crate) fn push_all(&mut self, other: &Self, keep: impl Fn(&str) -> bool) -> Result<(), InvalidVariable> {
        for (name, value) in other.iter().filter(|(name, _)| keep(name)) {
            debug_assert!(!self.contains(name), "{name} is set twice");
            self.offsets.push(u32::try_from(self.block.len()).map_err(|_| InvalidVariable::TooLong)?);
            for part in [name.as_bytes(), b"=", value, b"\0"] {
                self.block.extend_from_slice(part);
            }
        }
        Ok(())
    }

    /// The value of the variable `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.entries().find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    /// Whether the variable `name` is set.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether the variable that [`push_header`](Self::push_header) would make of `header` is set.
    pub(crate) fn contains_header(&self, header: &str) -> bool {
        self.entries().filter_map(|entry| entry.strip_prefix(HEADER_PREFIX)).any(|entry| {
            entry.get(header.len()) == Some(&b'=')
                && entry.iter().zip(header.bytes()).all(|(ours, theirs)| *ours == variable_byte(theirs))
        })
    }

    /// Whether there is any variable that a header could make.
    pub(crate) fn contains_any_header(&self) -> bool {
        self.entries().any(|entry| entry.starts_with(HEADER_PREFIX))
    }

    /// Every variable, in the order pushed.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries().filter_map(|entry| {
            // Names come from `&str` and end before the first `=`, so nothing is ever filtered out.
            let (name, value) = entry.split_at_checked(entry.iter().position(|byte| *byte == b'=')?)?;
            Some((std::str::from_utf8(name).ok()?, value.strip_prefix(b"=")?))
        })
    }

    /// How many variables there are.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// All variables as `NAME=VALUE\0`, one after the other.
    pub(crate) fn block(&self) -> &[u8] {
        &self.block
    }

    /// Where each variable begins in the [`block`](Self::block).
    pub(crate) fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// Writes one variable. Removes it again if a guest would read it as another one.
    fn append(
        &mut self,
        write_name: impl FnOnce(&mut Vec<u8>),
        write_value: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), InvalidVariable> {
        let start = self.block.len();
        write_name(&mut self.block);
        let name_end = self.block.len();
        self.block.push(b'=');
        write_value(&mut self.block);

        let name = self.block.get(start..name_end).unwrap_or_default();
        let value = self.block.get(name_end..).unwrap_or_default();
        let checked = if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
            Err(InvalidVariable::Name)
        } else if value.contains(&0) {
            Err(InvalidVariable::Value)
        } else {
            u32::try_from(start).map_err(|_| InvalidVariable::TooLong)
        };
        match checked {
            Ok(offset) => {
                self.block.push(0);
                self.offsets.push(offset);
            }
            Err(_) => self.block.truncate(start),
        }
        checked.map(drop)
    }

    /// Every variable as `NAME=VALUE`.
    fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.offsets.iter().skip(1).map(|next| *next as usize).chain([self.block.len()]);
        self.offsets.iter().zip(ends).filter_map(|(start, end)| self.block.get(*start as usize..end.checked_sub(1)?))
    }
}

impl Display for InvalidVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the name of an environment variable is empty, or has a `=` or a NUL",
            Self::Value => "the value of an environment variable has a NUL",
            Self::TooLong => "the environment is too long for a 32-bit memory",
        })
    }
}

impl std::error::Error for InvalidVariable {}

fn variable_byte(header_byte: u8) -> u8 {
    if header_byte == b'-' { b'_' } else { header_byte.to_ascii_uppercase() }
}

const HEADER_PREFIX: &[u8] = b"HTTP_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_what_environ_get_copies() {
        let mut environ = Environ::with_capacity(64, 4);
        environ.push("A", "1").unwrap();
        environ.push("EMPTY", "").unwrap();
        environ.push("BYTES", b"\xff=\xfe").unwrap();
        environ.push_joined("PATH", &[b"/srv", b"/a"]).unwrap();
        environ.push_display("PORT", 80).unwrap();
        environ.push_header("x-forwarded-for", [b"1".as_slice(), b"2"], b", ").unwrap();

        assert_eq!(environ.block(), b"A=1\0EMPTY=\0BYTES=\xff=\xfe\0PATH=/srv/a\0PORT=80\0HTTP_X_FORWARDED_FOR=1, 2\0");
        assert_eq!(environ.offsets(), [0, 4, 11, 21, 33, 41]);
        assert_eq!(environ.len(), 6);
        for (n, (name, value)) in environ.iter().enumerate() {
            let entry = &environ.block()[environ.offsets()[n] as usize..];
            assert!(entry.starts_with(&[name.as_bytes(), b"=", value, b"\0"].concat()));
        }
    }

    #[test]
    fn variables_of_another_environment_are_copied_as_they_are() {
        let (mut from, mut to) = (Environ::default(), Environ::default());
        to.push("A", "1").unwrap();
        for (name, value) in [("B", "x=y"), ("DROPPED", "2"), ("C", "")] {
            from.push(name, value).unwrap();
        }
        to.push_all(&from, |name| name != "DROPPED").unwrap();
        assert_eq!((to.block(), to.offsets()), (b"A=1\0B=x=y\0C=\0".as_slice(), [0, 4, 10].as_slice()));
    }

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let mut environ = Environ::default();
        environ.push("AB", "1").unwrap();
        environ.push("HTTP_X_Y", "2").unwrap();
        environ.push("VALUE", "AB=3").unwrap();
        assert_eq!(environ.get("AB"), Some(b"1".as_slice()));
        assert_eq!(environ.get("A"), None);
        assert_eq!(environ.get("B"), None);
        assert_eq!(environ.get("VALUE"), Some(b"AB=3".as_slice()));
        assert!(environ.contains_any_header() && environ.contains("HTTP_X_Y") && environ.contains_header("X-y"));
        assert!(!environ.contains_header("X") && !environ.contains_header("X-Y-Z") && !environ.contains_header("AB"));
    }

    #[test]
    fn what_a_guest_would_read_as_another_variable_is_refused_and_leaves_no_trace() {
        let mut environ = Environ::default();
        environ.push("A", "1").unwrap();
        use InvalidVariable::{Name, Value};
        for (name, value, why) in [("B", "x\0C=1", Value), ("B\0C", "1", Name), ("B=C", "1", Name), ("", "1", Name)] {
            assert_eq!(environ.push(name, value), Err(why), "{name:?}");
        }
        assert_eq!(environ.push_joined("B", &[b"x", b"\0"]), Err(Value));
        assert_eq!((environ.block(), environ.len()), (b"A=1\0".as_slice(), 1));
    }

    #[test]
    fn an_empty_environment_has_nothing() {
        let environ = Environ::default();
        assert!(environ.len() == 0 && environ.block().is_empty() && environ.iter().next().is_none());
    }
}
