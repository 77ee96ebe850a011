//! Validators, which distinguish versions of a file (RFC 9110 §8.8): an entity tag, and a date if it can be trusted.
//!
//! In: the facts about an open file. Out: `ETag` and `Last-Modified`. A time that programs can set proves nothing: archives,
//! package stores and reproducible builds give all their files the same time. The kernel's own time of change is reliable. Pure
//! functions, which must not know files or the clock.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::tree::Facts;

/// A tag that no other version of the file gets, made of its size, its inode and both its times. They go into a hash, because
/// clients should not learn inodes.
///
/// A file that was changed a moment ago may change again and keep its time. Its tag is weak, and the next response has
/// another tag, so it never matches.
pub(super) fn entity_tag(facts: &Facts) -> Option<String> {
    let &Facts { length, modified, changed, inode, now, coding } = facts;
    let last = changed.or(modified)?;
    let mut hasher = DefaultHasher::new();
    (modified, changed, inode).hash(&mut hasher);
    let version = hasher.finish();
    if is_settled(last, now) {
        return Some(format!("\"{length:x}-{version:x}{coding}\""));
    }
    let moment = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Some(format!("W/\"{length:x}-{version:x}-{moment:x}{coding}\""))
}

/// A date for `Last-Modified`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) shown: SystemTime,
    /// No other version of the file has it.
    pub(super) is_strong: bool,
}

/// The time of modification, if it is reliable: the kernel noted a change at about that time.
///
/// A later change within the same second would have the same date. So until that second is over, the date is the second
/// before, which no later version has (§8.8.2.2).
pub(super) fn last_modified(facts: &Facts) -> Option<Date> {
    let &Facts { modified, changed, now, .. } = facts;
    let modified = modified.filter(|modified| *modified >= UNIX_EPOCH + YEAR_1980)?;
    if changed.is_some_and(|changed| between(changed, modified) > SAME_CHANGE) {
        return None;
    }
    let second = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // §8.8.2.1: not later than the response itself.
    let is_strong = second(modified) < second(now);
    Some(Date { shown: if is_strong { modified } else { now.min(modified) - Duration::from_secs(1) }, is_strong })
}

/// Whether a change after `now` would have another time than one at `last`.
fn is_settled(last: SystemTime, now: SystemTime) -> bool {
    let nanos = last.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    let step = if nanos == 0 { WHOLE_SECONDS } else { TICK };
    now.duration_since(last).is_ok_and(|age| age > step)
}

fn between(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b).unwrap_or_else(|earlier| earlier.duration())
}

/// The kernel's clock for files steps by 10 ms at most.
const TICK: Duration = Duration::from_millis(20);
/// A file system may keep no fractions, as FAT, which counts by two seconds.
const WHOLE_SECONDS: Duration = Duration::from_secs(3);
/// A writer sets mode and owner right after the content.
const SAME_CHANGE: Duration = Duration::from_secs(2);
/// The first time of ZIP archives and of FAT, in any time zone. Earlier times mean nothing.
const YEAR_1980: Duration = Duration::from_secs(315_532_800 + 24 * 60 * 60);
