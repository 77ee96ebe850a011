//! What a line of the log looks like; a reload may change it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub(crate) enum Form {
    /// Text, with text for access lines too.
    #[default]
    Text,
    /// A JSON object for each line.
    Json,
    /// Text, with access lines as Apache and nginx write them.
    Combined,
    /// Text, without access lines.
    Off,
}

/// The form that lines have now. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Current(Arc<AtomicU8>);

impl Current {
    pub(super) fn form(&self) -> Form {
        let form = self.0.load(Ordering::Relaxed);
        [Form::Json, Form::Combined, Form::Off].into_iter().find(|known| *known as u8 == form).unwrap_or_default()
    }

    pub(super) fn set(&self, form: Form) {
        self.0.store(form as u8, Ordering::Relaxed);
    }
}
