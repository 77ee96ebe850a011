//! Paths and what they name, in real directories.
