//! Where names and bytes are counted, and what is left of the room there: the same for modules and for components.
//!
//! It is the private `/tmp` of an exchange, and each mount that has a quota.

use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::filesystem::Descriptor;

use super::files::{FileId, Full, Preopen, Quota, file_id};
use super::state::HostState;

/// Why a name cannot get into a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoEntry {
    Full,
    /// It is counted elsewhere, or nowhere. What is counted is like a file system of its own.
    OtherRoom,
}

impl From<Full> for NoEntry {
    fn from(Full: Full) -> Self {
        Self::Full
    }
}

impl HostState {
    /// What the descriptor `fd` is, or was opened below, if that is counted.
    pub(super) fn room(&self, fd: u32) -> Option<Preopen> {
        match self.counted.iter().find(|(known, _)| *known == fd) {
            Some((_, room)) => Some(*room),
            None => self.view.as_ref()?.counted(self.mount_number(fd)),
        }
    }

    /// Whether the descriptor `fd` is the private `/tmp`, or was opened below it.
    pub(super) fn is_in_tmp(&self, fd: u32) -> bool {
        self.room(fd) == Some(Preopen::Tmp)
    }

    /// `fd`, which is the file `id` if it is one, was opened below `room`.
    pub(super) fn opened_in(&mut self, room: Preopen, fd: u32, id: Option<FileId>, was_emptied: bool) {
        self.counted.push((fd, room));
        let Some(quota) = self.quota(room).cloned() else { return };
        for entry in self.ctx().table.iter_mut() {
            if let Some(Descriptor::File(file)) = entry.downcast_ref()
                && file_id(&file.file) == id
            {
                quota.opened(&file.file);
            }
        }
        if was_emptied {
            quota.shrink();
        }
    }

    /// `fd` is closed.
    pub(super) fn closed_in_room(&mut self, fd: u32) {
        if let Some(index) = self.counted.iter().position(|(known, _)| *known == fd) {
            let (_, room) = self.counted.swap_remove(index);
            self.shrunk(Some(room));
        }
    }

    /// The quota that the file `fd` counts for, if there is one.
    pub(super) fn quota_of(&mut self, fd: u32) -> Option<&Quota> {
        let (_, room) = self.counted.iter().find(|(known, _)| *known == fd)?;
        self.quota(*room)
    }

    /// A name is about to be made below the descriptor `dir`.
    pub(super) fn name_in(&mut self, dir: u32) -> Result<(), Full> {
        let Some(room) = self.room(dir) else { return Ok(()) };
        self.quota(room).map_or(Ok(()), Quota::name)
    }

    /// A name is about to be moved from one directory to another.
    pub(super) fn about_to_move(&mut self, from: u32, to: u32) -> Result<(), NoEntry> {
        let room = self.room(to);
        if room.is_some() && room != self.room(from) { Err(NoEntry::OtherRoom) } else { Ok(()) }
    }

    /// A file is about to get a name in another directory too.
    pub(super) fn about_to_link(&mut self, from: u32, to: u32) -> Result<(), NoEntry> {
        self.about_to_move(from, to)?;
        Ok(self.name_in(to)?)
    }

    /// A name below `dir` has gone, or stands for another file.
    pub(super) fn unlinked_in(&mut self, dir: u32) {
        self.shrunk(self.room(dir));
    }

    fn shrunk(&mut self, room: Option<Preopen>) {
        if let Some(room) = room
            && let Some(quota) = self.quota(room)
        {
            quota.shrink();
        }
    }
}
