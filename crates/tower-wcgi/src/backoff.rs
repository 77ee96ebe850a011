//! Back-off: after a failed try, one chance is left out, then two, four and so on.

use std::sync::atomic::{AtomicU32, Ordering};

/// Counts the chances that are left out. All callers share it.
#[derive(Debug)]
pub(crate) struct Backoff {
    /// Chances to leave out before the next try.
    left_out: AtomicU32,
    /// The number of chances to leave out the next time.
    penalty: AtomicU32,
    most: u32,
}

impl Backoff {
    /// Leaves out `most` chances at most between two tries.
    pub(crate) const fn new(most: u32) -> Self {
        Self { left_out: AtomicU32::new(0), penalty: AtomicU32::new(1), most }
    }

    /// Whether to use the present chance.
    pub(crate) fn is_due(&self) -> bool {
        self.left_out.load(Ordering::Relaxed) == 0
    }

    /// Takes a chance. True to try; otherwise it counts as left out.
    pub(crate) fn take_chance(&self) -> bool {
        self.left_out.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
    }

    /// Notes a try and whether it succeeded.
    pub(crate) fn tried(&self, well: bool) {
        let penalty = self.penalty.load(Ordering::Relaxed);
        if !well {
            self.left_out.store(penalty, Ordering::Relaxed);
            self.penalty.store(penalty.saturating_mul(2).min(self.most), Ordering::Relaxed);
        } else if penalty > 1 {
            self.penalty.store(penalty - 1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many chances are left out before the next try.
    fn left_out(backoff: &Backoff) -> u32 {
        (0..).find(|_| backoff.take_chance()).unwrap()
    }

    #[test]
    fn each_failure_doubles_what_is_left_out_up_to_the_most() {
        let backoff = Backoff::new(8);
        assert!(backoff.is_due() && backoff.take_chance());
        let mut all = Vec::new();
        for _ in 0..6 {
            backoff.tried(false);
            assert!(!backoff.is_due());
            all.push(left_out(&backoff));
        }
        assert_eq!(all, [1, 2, 4, 8, 8, 8]);
    }

    #[test]
    fn each_success_takes_one_back() {
        let backoff = Backoff::new(8);
        for _ in 0..3 {
            backoff.tried(false);
            left_out(&backoff);
        }
        for _ in 0..5 {
            backoff.tried(true);
            assert!(backoff.is_due(), "nothing is left out after it went well");
        }
        backoff.tried(false);
        assert_eq!(left_out(&backoff), 3);
    }
}
