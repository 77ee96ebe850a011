//! Listings: directories that were read once and are handed to the script part by part.

use std::collections::HashMap;

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
