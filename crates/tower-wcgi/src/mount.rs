//! Mounts: directories of the host, and the guest paths at which a script sees them.
//!
//! In: guest paths and host directories as a manifest, a `.webc` or the command line writes them. Out: [`Mount`]s with
//! normalised guest paths, in the order on which the rest of the crate relies. It must not know WASI handles, wasm or HTTP.

use std::cmp::Reverse;
use std::fs;
use std::path::PathBuf;

use crate::error::{Error, ErrorKind};

/// Where a script keeps its temporary files: private to its exchange, unless a mount is there.
pub(crate) const TMP: &str = "/tmp";

/// A host directory and where the script sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Absolute and normalised by [`guest_path`]: `/app`, or `/` alone.
    pub(crate) guest: String,
    pub(crate) host: PathBuf,
    pub(crate) access: Access,
}

impl Mount {
    /// The error of a mount that existed when the package was opened, and is missing for a request.
    pub(crate) fn cannot_open(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        let Self { guest, host, .. } = self;
        Error::new(ErrorKind::Host, format!("cannot open {} for the mount {guest}", host.display()))
            .with_source(source)
            .with_hint("the directory was there when the package was opened; put it back, or restart with another")
    }
}

/// What a script may do in a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// Open and read files, list directories.
    ReadOnly,
    /// Also create, write, rename and remove.
    ReadWrite,
}

/// Adds the mounts of `over` to those of `base`. A mount with the same guest path is replaced, whatever its access was.
///
/// The result is sorted: longest guest path first, then by name. So the first mount that a path begins with
/// holds the path. Within each list the last of two equal guest paths counts.
#[must_use]
pub(crate) fn overlay(base: Vec<Mount>, over: Vec<Mount>) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::with_capacity(base.len() + over.len());
    for mount in base.into_iter().chain(over) {
        match mounts.iter_mut().find(|placed| placed.guest == mount.guest) {
            Some(placed) => *placed = mount,
            None => mounts.push(mount),
        }
    }
    mounts.sort_by(|a, b| (Reverse(a.guest.len()), &a.guest).cmp(&(Reverse(b.guest.len()), &b.guest)));
    mounts
}

/// The absolute, normalised form of a guest path: `app`, `/app/` and `./app` are `/app`; `/` and `.` are `/`.
///
/// # Errors
///
/// [`ErrorKind::Package`] if the path is empty, contains `..` (nothing to climb out of, and never meant) or a NUL.
pub(crate) fn guest_path(raw: &str) -> Result<String, Error> {
    let refuse = |why: &str| Err(Error::new(ErrorKind::Package, format!("guest path {raw:?} {why}")));
    if raw.is_empty() {
        return refuse("is empty");
    }
    if raw.contains('\0') {
        return refuse("contains a NUL");
    }
    let mut path = String::with_capacity(raw.len() + 1);
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => return refuse("contains `..`"),
            name => {
                path.push('/');
                path.push_str(name);
            }
        }
    }
    if path.is_empty() {
        path.push('/');
    }
    Ok(path)
}

/// Checks that every host directory exists. Nothing is created.
///
/// # Errors
///
/// [`ErrorKind::Package`] for the first mount whose host path is missing, cannot be read or is not a directory. The
/// message names the guest path and the host path.
pub(crate) fn check(mounts: &[Mount]) -> Result<(), Error> {
    for Mount { guest, host, .. } in mounts {
        let shown = host.display();
        match fs::metadata(host) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                return Err(Error::new(ErrorKind::Package, format!("mount {guest}: {shown} is not a directory"))
                    .with_hint("only directories can be mounted; mount the directory that holds the file"));
            }
            Err(error) => {
                let hint = format!("nothing is created silently; make it with `mkdir {shown}`, or correct the path");
                let missing = error.kind() == std::io::ErrorKind::NotFound;
                let what = if missing { "no directory" } else { "cannot open" };
                let failure = Error::new(ErrorKind::Package, format!("mount {guest}: {what} {shown}"));
                let failure = if missing { failure.with_hint(hint) } else { failure };
                return Err(failure.with_source(error));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(guest: &str, host: &str, access: Access) -> Mount {
        Mount { guest: guest.to_owned(), host: PathBuf::from(host), access }
    }

    #[test]
    fn guest_paths_are_normalised() {
        for (raw, expected) in [
            ("app", "/app"),
            ("/app", "/app"),
            ("/app/", "/app"),
            ("./app", "/app"),
            ("//app//x/./y/", "/app/x/y"),
            ("/", "/"),
            (".", "/"),
            ("./", "/"),
            ("/tmp", "/tmp"),
            ("/a..b/...", "/a..b/..."),
            (" ", "/ "),
            ("/größe", "/größe"),
        ] {
            assert_eq!(guest_path(raw).unwrap(), expected, "{raw:?}");
        }
    }

    #[test]
    fn guest_paths_that_mean_nothing_are_refused() {
        for (raw, expected) in [
            ("", r#"guest path "" is empty"#),
            ("..", r#"guest path ".." contains `..`"#),
            ("/app/../etc", r#"guest path "/app/../etc" contains `..`"#),
            ("/app\0", r#"guest path "/app\0" contains a NUL"#),
        ] {
            let error = guest_path(raw).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.kind()), (expected, ErrorKind::Package));
        }
    }

    #[test]
    fn a_normalised_guest_path_stays_as_it_is() {
        for raw in ["a/b/c", "/", "x//y", "./.hidden"] {
            let once = guest_path(raw).unwrap();
            assert_eq!(guest_path(&once).unwrap(), once);
        }
    }

    #[test]
    fn overlay_replaces_the_same_guest_path_and_puts_the_longest_first() {
        let base = vec![mount("/", "root", Access::ReadOnly), mount("/app", "app", Access::ReadOnly)];
        let over = vec![
            mount("/db", "first", Access::ReadOnly),
            mount("/app", "edited", Access::ReadWrite),
            mount("/app/wp-content", "content", Access::ReadWrite),
            mount("/db", "db", Access::ReadWrite),
        ];
        assert_eq!(
            overlay(base, over),
            [
                mount("/app/wp-content", "content", Access::ReadWrite),
                mount("/app", "edited", Access::ReadWrite),
                mount("/db", "db", Access::ReadWrite),
                mount("/", "root", Access::ReadOnly),
            ]
        );
    }

    #[test]
    fn overlay_does_not_depend_on_the_order_written() {
        let mounts = [mount("/a", "a", Access::ReadOnly), mount("/b", "b", Access::ReadOnly)];
        let reversed: Vec<_> = mounts.iter().rev().cloned().collect();
        assert_eq!(overlay(mounts.to_vec(), Vec::new()), overlay(Vec::new(), reversed));
    }

    #[test]
    fn check_names_the_guest_path_and_the_host_directory() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("index.php");
        fs::write(&file, "").unwrap();
        let at = |host: PathBuf| [Mount { guest: "/db".to_owned(), host, access: Access::ReadWrite }];

        check(&at(dir.path().to_owned())).unwrap();

        let missing = dir.path().join("db");
        let error = check(&at(missing.clone())).unwrap_err();
        assert_eq!(error.to_string(), format!("mount /db: no directory {}", missing.display()));
        assert!(error.hint().unwrap().contains("mkdir"), "{error:?}");
        assert!(std::error::Error::source(&error).is_some());
        assert!(!missing.exists(), "nothing is created silently");

        let error = check(&at(file.clone())).unwrap_err();
        assert_eq!(error.to_string(), format!("mount /db: {} is not a directory", file.display()));
        assert!(error.hint().unwrap().contains("only directories"), "{error:?}");
    }
}
