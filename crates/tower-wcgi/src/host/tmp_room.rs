//! What is below the private `/tmp` of an exchange, and what of its room is left: the same for modules and for components.

use std::fs::File;
use std::sync::Arc;

use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::filesystem::Descriptor;

use super::files::{Full, Quota};
use super::state::HostState;

/// A name that goes from one directory to another, or is also there from then on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    /// It is below the private `/tmp` before.
    was_in: bool,
    /// It is there afterwards.
    is_in: bool,
}

impl HostState {
    /// Whether the descriptor `fd` is the private `/tmp`, or was opened below it.
    pub(super) fn is_in_tmp(&self, fd: u32) -> bool {
        self.in_tmp.contains(&fd) || self.is_private(fd)
    }

    /// The file or directory `fd` was opened below the private `/tmp`.
    pub(super) fn opened_in_tmp(&mut self, fd: u32, was_emptied: bool) {
        self.in_tmp.push(fd);
        if was_emptied {
            self.shrunk();
        }
    }

    /// `fd` is closed.
    pub(super) fn closed_in_tmp(&mut self, fd: u32) {
        if let Some(index) = self.in_tmp.iter().position(|known| *known == fd) {
            self.in_tmp.swap_remove(index);
            self.shrunk();
        }
    }

    /// The quota that the file `fd` counts for, if there is one.
    pub(super) fn quota_of(&mut self, fd: u32) -> Option<&Quota> {
        if self.in_tmp.contains(&fd) { self.quota() } else { None }
    }

    /// Whether there is room for one more name below the descriptor `dir`.
    pub(super) fn has_room_for_a_name(&mut self, dir: u32) -> bool {
        !self.is_in_tmp(dir) || self.quota().is_none_or(|quota| quota.name().is_ok())
    }

    /// A name is about to be moved from one directory to another.
    pub(super) fn about_to_move(&mut self, from: u32, to: u32) -> Result<Move, Full> {
        let moves = Move { was_in: self.is_in_tmp(from), is_in: self.is_in_tmp(to) };
        if !moves.was_in && !self.has_room_for_a_name(to) {
            return Err(Full);
        }
        Ok(moves)
    }

    /// It was.
    pub(super) fn moved_name(&mut self, Move { was_in, is_in }: Move) {
        if was_in || is_in {
            self.unlinked();
        }
        if is_in && !was_in {
            self.files_came();
        }
    }

    /// A file is about to get a name in another directory too.
    pub(super) fn about_to_link(&mut self, from: u32, to: u32) -> Result<Move, Full> {
        if !self.has_room_for_a_name(to) {
            return Err(Full);
        }
        Ok(Move { was_in: self.is_in_tmp(from), is_in: self.is_in_tmp(to) })
    }

    /// It has one, or not.
    pub(super) fn linked_name(&mut self, Move { was_in, is_in }: Move) {
        if is_in && !was_in {
            self.files_came();
        }
    }

    /// A name below `dir` has gone.
    pub(super) fn unlinked_in(&mut self, dir: u32) {
        if self.is_in_tmp(dir) {
            self.unlinked();
        }
    }

    /// A name of the private `/tmp` has gone, or stands for another file.
    fn unlinked(&mut self) {
        let open: Vec<Arc<File>> = self
            .ctx()
            .table
            .iter_mut()
            .filter_map(|entry| match entry.downcast_ref() {
                Some(Descriptor::File(file)) => Some(Arc::clone(&file.file)),
                Some(Descriptor::Dir(_)) | None => None,
            })
            .collect();
        if let Some(quota) = self.quota() {
            quota.unlink(open.into_iter());
        }
    }

    fn shrunk(&mut self) {
        if let Some(quota) = self.quota() {
            quota.shrink();
        }
    }

    fn files_came(&mut self) {
        if let Some(quota) = self.quota() {
            quota.measure();
        }
    }
}
