//! Versions of a file, and whether their validators tell them apart.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::validators::{Date, entity_tag, last_modified};
use crate::tree::Facts;

/// A file written at `written`, looked at an hour later.
fn facts(written: SystemTime) -> Facts {
    let now = written + Duration::from_secs(3600);
    Facts { length: 10, modified: Some(written), changed: Some(written), inode: 7, now, coding: "" }
}

fn at(seconds: u64, nanos: u32) -> SystemTime {
    UNIX_EPOCH + Duration::new(seconds, nanos)
}

const WRITTEN: u64 = 1_700_000_000;

#[test]
fn each_version_has_a_strong_tag_of_its_own() {
    let first = facts(at(WRITTEN, 5));
    let mut tags = vec![entity_tag(&first).unwrap()];
    for other in [
        Facts { length: 11, ..facts(at(WRITTEN, 5)) },
        Facts { inode: 8, ..facts(at(WRITTEN, 5)) },
        Facts { changed: Some(at(WRITTEN, 6)), ..facts(at(WRITTEN, 5)) },
        Facts { changed: Some(at(WRITTEN + 9, 5)), ..facts(at(WRITTEN, 5)) },
        Facts { modified: Some(at(WRITTEN, 4)), ..facts(at(WRITTEN, 5)) },
        Facts { coding: "-br", ..facts(at(WRITTEN, 5)) },
        // A file of the epoch, then another one.
        Facts { modified: Some(UNIX_EPOCH), ..facts(at(WRITTEN, 5)) },
        Facts { modified: Some(UNIX_EPOCH), changed: Some(at(WRITTEN, 6)), ..facts(at(WRITTEN, 5)) },
    ] {
        let tag = entity_tag(&other).unwrap();
        assert!(tag.starts_with('"') && tag.ends_with('"') && !tags.contains(&tag), "{tag} of {other:?}");
        assert_eq!(entity_tag(&Facts { now: other.now + Duration::from_secs(1), ..other }).unwrap(), tag);
        tags.push(tag);
    }
    // Where the system tells no time of change.
    let unknown = Facts { changed: None, ..facts(at(WRITTEN, 5)) };
    assert!(entity_tag(&unknown).unwrap().starts_with('"'));
    assert_eq!(entity_tag(&Facts { modified: None, ..unknown }), None);
}

#[test]
fn a_file_that_may_be_changed_within_the_same_tick_has_a_weak_tag_that_never_matches() {
    let after = |nanos: u32, age: Duration| {
        let written = at(WRITTEN, nanos);
        entity_tag(&Facts { now: written + age, ..facts(written) }).unwrap()
    };
    let millis = Duration::from_millis;
    for (nanos, age, strong) in [
        (5, millis(0), false),
        (5, millis(20), false),
        (5, millis(21), true),
        // No fractions: the file system counts in seconds.
        (0, millis(3000), false),
        (0, millis(3001), true),
    ] {
        let tag = after(nanos, age);
        assert_eq!(tag.starts_with('"'), strong, "{tag} after {age:?}");
        let later = after(nanos, age + Duration::from_nanos(1));
        assert!(if strong { tag == later } else { tag.starts_with("W/\"") && tag != later }, "{tag} {later}");
    }
    // A clock that was set back.
    let written = at(WRITTEN, 5);
    assert!(entity_tag(&Facts { now: written - millis(1), ..facts(written) }).unwrap().starts_with("W/"));
}

#[test]
fn a_date_is_given_only_where_the_kernel_agrees() {
    for (modified, changed, expected) in [
        (at(WRITTEN, 5), Some(at(WRITTEN, 5)), true),
        (at(WRITTEN, 5), Some(at(WRITTEN + 2, 5)), true),
        (at(WRITTEN, 5), None, true),
        // One time for all files: of a package store, of a build, of the last commit.
        (UNIX_EPOCH, Some(at(WRITTEN, 5)), false),
        (at(1, 0), Some(at(WRITTEN, 5)), false),
        (at(WRITTEN - 86_400, 0), Some(at(WRITTEN, 5)), false),
        (at(WRITTEN, 5), Some(at(WRITTEN + 3, 5)), false),
        (at(WRITTEN + 86_400, 0), Some(at(WRITTEN, 5)), false),
        // No time at all.
        (UNIX_EPOCH, None, false),
        (at(315_532_800, 0), None, false),
        (UNIX_EPOCH - Duration::from_secs(1), None, false),
    ] {
        let facts = Facts { modified: Some(modified), changed, ..facts(at(WRITTEN, 5)) };
        let expected = expected.then_some(Date { shown: modified, is_strong: true });
        assert_eq!(last_modified(&facts), expected, "{facts:?}");
    }
    assert_eq!(last_modified(&Facts { modified: None, ..facts(at(WRITTEN, 5)) }), None);
}

/// Or a second change within it would have the same date.
#[test]
fn a_date_of_the_current_second_is_the_one_before() {
    let written = at(WRITTEN, 500_000_000);
    for (now, expected, strong) in [(at(WRITTEN, 600_000_000), WRITTEN - 1, false), (at(WRITTEN + 1, 0), WRITTEN, true)]
    {
        let date = last_modified(&Facts { now, ..facts(written) }).unwrap();
        assert_eq!((date.shown.duration_since(UNIX_EPOCH).unwrap().as_secs(), date.is_strong), (expected, strong));
    }
    // Never later than the response.
    let date = last_modified(&Facts { now: at(WRITTEN - 10, 0), ..facts(written) }).unwrap();
    assert!(date.shown < at(WRITTEN - 10, 0) && !date.is_strong);
}
