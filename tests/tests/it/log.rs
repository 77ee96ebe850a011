//! What the library says in the log, kept for tests to look into.
//!
//! In: every event of the library, from any thread. Out: the events about one request, found by its id. The capture is
//! global, as scripts run on threads of their own, so each test gives its requests ids that no other test has.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, Once};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) target: String,
    fields: BTreeMap<String, String>,
}

impl Line {
    /// A field's value, or the empty string.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    pub(crate) fn message(&self) -> &str {
        self.field("message")
    }

    /// Whether `text` is anywhere in it.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.fields.values().any(|value| value.contains(text))
    }
}

/// Begins to capture. Calling it again changes nothing.
pub(crate) fn capture() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let ours = Targets::new().with_target("tower_wcgi", Level::DEBUG).with_target("wcgi", Level::DEBUG);
        let subscriber = tracing_subscriber::registry().with(Capture.with_filter(ours));
        tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");
    });
}

/// What was said about the request with this id so far.
pub(crate) fn about(request_id: &str) -> Vec<Line> {
    let lines = LINES.lock().expect("nothing panics while holding it");
    lines.iter().filter(|line| line.field("request_id") == request_id).cloned().collect()
}

/// Waits until something that `wanted` accepts is said about the request with this id.
pub(crate) async fn wait_for(request_id: &str, wanted: impl Fn(&Line) -> bool) -> Line {
    let found = async {
        loop {
            if let Some(line) = about(request_id).into_iter().find(&wanted) {
                return line;
            }
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), found).await;
    waited.unwrap_or_else(|_| panic!("no such line about {request_id}, only {:#?}", about(request_id)))
}

/// Waits for the line that gives `reason` for the failure of the request with this id.
pub(crate) async fn reason(request_id: &str, reason: &str) -> Line {
    wait_for(request_id, |line| line.field("reason") == reason).await
}

struct Capture;

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = Line { level: *metadata.level(), target: metadata.target().to_owned(), fields: fields.0 };
        LINES.lock().expect("nothing panics while holding it").push(line);
    }
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());
