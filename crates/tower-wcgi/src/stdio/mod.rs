//! The script's standard streams: request body → stdin, stdout → response, stderr → log. All bounded.

mod file;
mod linger;
mod output;
mod pipe;
mod spool;
mod stderr;
mod stdin;

pub(crate) use file::FileReader;
pub(crate) use linger::Lingering;
pub(crate) use output::Output;
pub(crate) use pipe::{Reader, Writer, pipe};
pub(crate) use spool::{SpoolRoom, spool};
pub(crate) use stderr::Stderr;
pub(crate) use stdin::{BoxBody, BoxError, Stdin};
