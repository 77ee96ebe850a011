//! Requests that h2 refuses while their connection goes on. h2 resets the stream, and reports that to `tracing` alone.
//!
//! In: h2's events. Out: the reasons, for the task that polls the connection on this thread.

use std::cell::RefCell;
use std::fmt::Debug;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Collects the reasons.
pub(super) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    Refusals.with_filter(Targets::new().with_target("h2", Level::DEBUG))
}

/// The refusals on this thread since the last call.
pub(crate) fn take_refused() -> Vec<String> {
    REFUSED.take()
}

thread_local! {
    static REFUSED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Refusals;

impl<S: Subscriber> Layer<S> for Refusals {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let Message(message) = message;
        if BEGINNINGS.iter().any(|beginning| message.starts_with(beginning)) {
            REFUSED.with_borrow_mut(|refused| refused.push(message));
        }
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// Of the messages of h2's `server.rs`, and of its macro `proto_err`.
const BEGINNINGS: [&str; 3] = ["malformed headers: ", "stream error ", "connection error "];
