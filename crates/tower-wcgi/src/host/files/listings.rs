//! Listings: directories that were read once and are handed to the script part by part.

use std::collections::HashMap;
#[cfg(unix)]
use std::fs::File;

/// The directories an exchange is reading, by descriptor.
#[derive(Debug, Default)]
pub(crate) struct Listings {
    listings: HashMap<u32, Listing>,
    bytes: usize,
}

/// All entries of a directory, in the form `fd_readdir` gives them.
#[derive(Debug)]
pub(crate) struct Listing {
    entries: Vec<u8>,
    /// Where each begins. An entry's place is the cookie to go on from there.
    starts: Vec<usize>,
}

impl Listings {
    /// What an exchange may hold at most, in bytes. When there is more the directories are read again.
    pub(crate) const ROOM: usize = 16 << 20;

    pub(crate) fn get(&self, fd: u32) -> Option<&Listing> {
        self.listings.get(&fd)
    }

    pub(crate) fn insert(&mut self, fd: u32, listing: Listing) {
        self.remove(fd);
        if self.bytes + listing.bytes() > Self::ROOM {
            self.listings.clear();
            self.bytes = 0;
        }
        self.bytes += listing.bytes();
        self.listings.insert(fd, listing);
    }

    pub(crate) fn remove(&mut self, fd: u32) {
        if let Some(listing) = self.listings.remove(&fd) {
            self.bytes -= listing.bytes();
        }
    }
}

impl Listing {
    /// `entries` as wasmtime-wasi wrote them, without a part of an entry at the end.
    pub(crate) fn new(entries: Vec<u8>) -> Self {
        let mut starts = Vec::new();
        let mut start = 0;
        while let Some(name) = entries.get(start + NAME_LENGTH..).and_then(|rest| rest.first_chunk()) {
            starts.push(start);
            start += HEAD + u32::from_le_bytes(*name) as usize;
        }
        Self { entries, starts }
    }

    /// Reads `directory` itself, without the names that are not UTF-8, which WASI cannot say. Also says how many those are.
    /// `None` for one that is larger than what an exchange may hold.
    #[cfg(unix)]
    pub(crate) fn without_unspeakable(directory: &File) -> std::io::Result<Option<(Self, usize)>> {
        use super::look::id;
        use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, statat};

        let own = fstat(directory)?;
        let own = id(own.st_dev, own.st_ino).0;
        let mut entries = Vec::new();
        let (mut next, mut left_out) = (0_u64, 0);
        let mut push = |name: &[u8], inode: u64, kind: u8| {
            next += 1;
            entries.extend_from_slice(&next.to_le_bytes());
            entries.extend_from_slice(&inode.to_le_bytes());
            entries.extend_from_slice(&u32::try_from(name.len()).unwrap_or(0).to_le_bytes());
            entries.extend_from_slice(&[kind, 0, 0, 0]);
            entries.extend_from_slice(name);
            entries.len()
        };
        push(b".", own, DIRECTORY);
        push(b"..", own, DIRECTORY);
        // A mount is open only to look below it.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        for entry in Dir::new(openat(directory, ".", flags, Mode::empty())?)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if name.to_str().is_err() {
                left_out += 1;
                continue;
            }
            // One that has gone meanwhile is not there.
            let Ok(stat) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let kind = match FileType::from_raw_mode(stat.st_mode) {
                FileType::BlockDevice => 1,
                FileType::CharacterDevice => 2,
                FileType::Directory => DIRECTORY,
                FileType::RegularFile => 4,
                FileType::Symlink => 7,
                _ => 0,
            };
            if push(name.to_bytes(), id(stat.st_dev, stat.st_ino).0, kind) > Listings::ROOM {
                return Ok(None);
            }
        }
        Ok(Some((Self::new(entries), left_out)))
    }

    /// What is left from `cookie` on.
    pub(crate) fn from(&self, cookie: u64) -> &[u8] {
        let start = usize::try_from(cookie).ok().and_then(|cookie| self.starts.get(cookie));
        start.and_then(|start| self.entries.get(*start..)).unwrap_or_default()
    }

    fn bytes(&self) -> usize {
        self.entries.capacity() + self.starts.capacity() * size_of::<usize>()
    }
}

/// The size of an entry without its name, and where in it the name's length is (`dirent` of WASI preview 1).
const HEAD: usize = 24;
const NAME_LENGTH: usize = 16;
#[cfg(unix)]
const DIRECTORY: u8 = 3;
