//! The queue of the log, and the thread that writes it.
//!
//! Lines go in from any thread and never wait, because the thread that logs may be answering a request. Lines for which the queue
//! has no room are dropped and counted. So are lines that could not be written. The count is logged once lines can be written again.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// A handle of the queue. Clones are the same queue.
#[derive(Debug, Clone)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write.
    filled: Condvar,
    /// Everything is written.
    written: Condvar,
}

#[derive(Debug)]
struct State {
    lines: Vec<u8>,
    /// Lines wait until they are released.
    held: bool,
    /// The thread has lines that it has not written yet.
    writing: bool,
    /// Lines lost since the count was last logged.
    dropped: u64,
    /// Lines lost that were told.
    told: u64,
    thread: Option<ThreadId>,
}

impl Queue {
    /// Starts the thread that writes to `output`. `say_dropped` logs how many lines were lost.
    pub(super) fn start(output: impl Write + Send + 'static, say_dropped: impl Fn(u64) + Send + 'static) -> Self {
        let state = State { lines: Vec::new(), held: true, writing: false, dropped: 0, told: 0, thread: None };
        let queue =
            Self(Arc::new(Shared { state: Mutex::new(state), filled: Condvar::new(), written: Condvar::new() }));
        let writer = queue.clone();
        let thread = thread::Builder::new().name("wcgi-log".to_owned()).spawn(move || writer.run(output, say_dropped));
        // Without the thread there is no log, and no place for a message.
        queue.lock().thread = thread.ok().map(|thread| thread.thread().id());
        queue
    }

    /// Adds a line, or counts it as dropped.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        // The thread itself logs at most one line each time it has emptied the queue.
        let has_room = state.lines.len() + line.len() <= MOST_BYTES || state.thread == Some(thread::current().id());
        if has_room {
            self.add(state, line);
        } else {
            state.dropped += 1;
        }
    }

    /// How many lines were lost since the start.
    pub(super) fn dropped(&self) -> u64 {
        let state = self.lock();
        state.told + state.dropped
    }

    /// Adds a line, whether or not there is room for it.
    pub(super) fn push_always(&self, line: &[u8]) {
        self.add(self.lock(), line);
    }

    /// Lets `first` be written, and then the lines that were held back.
    pub(super) fn release(&self, first: &[u8]) {
        let mut state = self.lock();
        state.lines.splice(0..0, first.iter().copied());
        state.held = false;
        drop(state);
        self.0.filled.notify_one();
    }

    /// Waits until everything is written, but not for longer than `patience`.
    pub(super) fn wait_until_written(&self, patience: Duration) {
        let is_unwritten = |state: &mut State| state.writing || !state.lines.is_empty();
        let state = self.lock();
        if state.thread.is_some() {
            drop(self.0.written.wait_timeout_while(state, patience, is_unwritten));
        }
    }

    fn add(&self, mut state: MutexGuard<'_, State>, line: &[u8]) {
        let wakes = state.lines.is_empty() && !state.held;
        state.lines.extend_from_slice(line);
        drop(state);
        if wakes {
            self.0.filled.notify_one();
        }
    }

    /// The thread.
    fn run(&self, mut output: impl Write, say_dropped: impl Fn(u64)) {
        let mut lines = Vec::new();
        loop {
            self.take(&mut lines);
            let lost = write(&mut output, &lines);
            lines.clear();
            let mut state = self.lock();
            state.dropped += lost;
            // If nothing can be written, the count has to wait.
            let dropped = if lost == 0 { std::mem::take(&mut state.dropped) } else { 0 };
            state.told += dropped;
            drop(state);
            if dropped > 0 {
                say_dropped(dropped);
            }
        }
    }

    /// Waits for lines and swaps them for the empty `lines`.
    fn take(&self, lines: &mut Vec<u8>) {
        let mut state = self.lock();
        state.writing = false;
        if state.lines.is_empty() {
            self.0.written.notify_all();
        }
        let nothing = |state: &mut State| state.held || state.lines.is_empty();
        let mut state = self.0.filled.wait_while(state, nothing).unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.lines, lines);
        state.writing = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes as much as it can. Gives the number of lines that are not written, or not to their end.
fn write(output: &mut impl Write, mut lines: &[u8]) -> u64 {
    while !lines.is_empty() {
        match output.write(lines) {
            Ok(0) => break,
            Ok(count) => lines = lines.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Some thousand lines.
const MOST_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Tells of each write, and does with it what the test answers.
    struct Stderr {
        written: Sender<String>,
        answers: Receiver<io::Result<()>>,
    }

    impl Write for Stderr {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.written.send(String::from_utf8_lossy(bytes).into_owned()).map_err(io::Error::other)?;
            self.answers.recv().map_err(io::Error::other)?.map(|()| bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Scene {
        queue: Queue,
        written: Receiver<String>,
        answers: Sender<io::Result<()>>,
        dropped: Receiver<u64>,
    }

    impl Scene {
        fn new() -> Self {
            let (written_by, written) = channel();
            let (answers, answered) = channel();
            let (dropped_by, dropped) = channel();
            let stderr = Stderr { written: written_by, answers: answered };
            let queue = Queue::start(stderr, move |lines| {
                // The test may be over.
                let _ = dropped_by.send(lines);
            });
            Self { queue, written, answers, dropped }
        }

        fn write(&self, answer: io::Result<()>) -> String {
            let lines = self.written.recv_timeout(PATIENCE).expect("a write");
            self.answers.send(answer).expect("the thread waits");
            lines
        }
    }

    #[test]
    fn lines_wait_for_the_first_one() {
        let scene = Scene::new();
        scene.queue.push(b"early\n");
        scene.queue.release(b"first\n");
        assert_eq!(scene.write(Ok(())), "first\nearly\n");
        scene.queue.push(b"late\n");
        assert_eq!(scene.write(Ok(())), "late\n");
        scene.queue.wait_until_written(PATIENCE);
        assert!(!scene.queue.lock().writing);
    }

    #[test]
    fn what_the_queue_has_no_room_for_is_counted() {
        let scene = Scene::new();
        scene.queue.release(b"first\n");
        let first = scene.written.recv_timeout(PATIENCE).expect("a write");
        // While that is not over:
        let line = [b'x'; 1023];
        for _ in 0..MOST_BYTES / 1024 + 7 {
            scene.queue.push(&[&line[..], b"\n"].concat());
        }
        scene.queue.wait_until_written(Duration::from_millis(1));
        scene.queue.push_always(b"error\n");
        assert!(scene.queue.lock().lines.len() <= MOST_BYTES + 6);
        assert_eq!(first, "first\n");
        scene.answers.send(Ok(())).expect("the thread waits");
        assert_eq!(scene.dropped.recv_timeout(PATIENCE), Ok(7));
        assert!(scene.write(Ok(())).ends_with("x\nerror\n"));
    }

    #[test]
    fn what_cannot_be_written_is_counted_once_something_can() {
        let scene = Scene::new();
        scene.queue.release(b"one\ntwo\n");
        scene.write(Err(io::ErrorKind::BrokenPipe.into()));
        scene.queue.push(b"three\n");
        scene.write(Err(io::ErrorKind::Interrupted.into()));
        scene.write(Err(io::ErrorKind::StorageFull.into()));
        scene.queue.push(b"four\n");
        assert_eq!(scene.write(Ok(())), "four\n");
        assert_eq!(scene.dropped.recv_timeout(PATIENCE), Ok(3));
    }

    const PATIENCE: Duration = Duration::from_secs(60);
}
