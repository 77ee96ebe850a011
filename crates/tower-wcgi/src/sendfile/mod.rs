//! `X-Sendfile`: a script names a file, and the file is the response's body.
//!
//! In: a script's response head, and the mounts of the service. Out: the open file, or the reason why it may not be sent. Then,
//! from [`plan`], the part of it that answers. A path is resolved in the mounts and nowhere else, like the script's own paths. It
//! must not know wasm, tokio, or how the bytes reach the client.

mod plan;
#[cfg(test)]
mod tests_plan;
#[cfg(test)]
mod tests_validators;
mod validators;

use std::fs::File;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};

pub(crate) use plan::plan;

use crate::error::{Error, ErrorKind};
use crate::tree::{Facts, Failure, Tree};

/// The files a service may send.
#[derive(Debug)]
pub(crate) struct SendFile {
    tree: Arc<Tree>,
}

impl SendFile {
    pub(crate) fn new(tree: Arc<Tree>) -> Self {
        Self { tree }
    }

    /// Opens the file that a script calls `path`. Blocks for as long as the file system does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedResponse`] if there is no such regular file in a mount. [`ErrorKind::Host`] if the mount
    /// itself cannot be opened.
    pub(crate) fn open(&self, path: &str) -> Result<(File, Facts), Error> {
        let (file, metadata) = self.tree.open(path).map_err(|failure| match failure {
            Failure::NoMount => refused(path, "is in no mount"),
            Failure::Mount(error) => error,
            Failure::Path(error) => refused(path, "cannot be opened").with_source(error),
        })?;
        if !metadata.is_file() {
            return Err(refused(path, "is not a regular file"));
        }
        Ok((file, Facts::of(&metadata)))
    }
}

/// Removes the field from a script's response head.
///
/// # Errors
///
/// [`ErrorKind::MalformedResponse`] if it appears twice, or is not UTF-8, as paths of a script are.
pub(crate) fn take(headers: &mut HeaderMap) -> Result<Option<String>, Error> {
    let mut values = headers.get_all(&FIELD).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Error::new(ErrorKind::MalformedResponse, "the response head has several X-Sendfile fields"));
    }
    let path = std::str::from_utf8(value.as_bytes()).map(str::to_owned).map_err(|error| {
        Error::new(ErrorKind::MalformedResponse, "the script's X-Sendfile is not UTF-8").with_source(error)
    })?;
    headers.remove(&FIELD);
    Ok(Some(path))
}

/// For the log alone: the client sees a status.
fn refused(path: &str, why: &str) -> Error {
    Error::new(ErrorKind::MalformedResponse, format!("the script's X-Sendfile {path:?} {why}"))
}

const FIELD: HeaderName = HeaderName::from_static("x-sendfile");

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::mount::{Access, Mount, overlay};

    fn mounts(mounts: &[(&str, &Path)]) -> SendFile {
        let mount = |&(guest, host): &(&str, &Path)| Mount {
            guest: guest.to_owned(),
            host: host.to_owned(),
            access: Access::ReadOnly,
        };
        SendFile::new(Arc::new(Tree::new(overlay(Vec::new(), mounts.iter().map(mount).collect()))))
    }

    #[cfg(unix)]
    #[test]
    fn only_regular_files_and_without_waiting() {
        use rustix::fs::{CWD, Mode, mkfifoat};
        let dir = tempfile::tempdir().unwrap();
        mkfifoat(CWD, dir.path().join("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        fs::write(dir.path().join("a"), "content").unwrap();
        let files = mounts(&[("/d", dir.path()), ("/dev", Path::new("/dev"))]);
        for path in ["/d/fifo", "/d/sub", "/d/sub/", "/d", "/d/socket", "/d/missing", "/dev/null", "/dev/zero", "/e"] {
            let error = files.open(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::MalformedResponse, "{path}");
        }
        let (_, facts) = files.open("/d/sub/../a").unwrap();
        assert_eq!(facts.length, 7);
    }

    /// Whatever is swapped in between, what was opened is what is below the mount, or nothing is.
    #[cfg(unix)]
    #[test]
    fn a_link_that_comes_and_goes_leads_nowhere() {
        use std::io::Read;
        use std::os::unix::fs::symlink;
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("a"), "secret").unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        fs::write(dir.path().join("real/a"), "public").unwrap();
        symlink(outside.path(), dir.path().join("link")).unwrap();
        let files = mounts(&[("/d", dir.path())]);
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let [real, link, at] = ["real", "link", "at"].map(|name| dir.path().join(name));
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    for name in [&real, &link] {
                        fs::rename(name, &at).unwrap();
                        fs::rename(&at, name).unwrap();
                    }
                }
            });
            let (mut opened, mut refused) = (0, 0);
            while opened < 100 || refused < 100 {
                if let Ok((mut file, _)) = files.open("/d/at/a") {
                    opened += 1;
                    let mut content = String::new();
                    file.read_to_string(&mut content).unwrap();
                    assert_eq!(content, "public");
                } else {
                    refused += 1;
                }
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }

    #[test]
    fn a_mount_that_is_gone_is_the_hosts_fault() {
        let dir = tempfile::tempdir().unwrap();
        let error = mounts(&[("/d", &dir.path().join("gone"))]).open("/d/a").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Host);
    }

    #[test]
    fn the_field_is_taken_out() {
        let field = |values: &[&'static [u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(&FIELD, http::HeaderValue::from_bytes(value).unwrap());
            }
            let taken = take(&mut headers);
            assert!(taken.is_err() || headers.is_empty());
            taken.map_err(|error| error.kind())
        };
        assert_eq!(field(&[]), Ok(None));
        assert_eq!(field(&["/größe".as_bytes()]), Ok(Some("/größe".to_owned())));
        assert_eq!(field(&[b""]), Ok(Some(String::new())));
        assert_eq!(field(&[b"/a", b"/a"]), Err(ErrorKind::MalformedResponse));
        assert_eq!(field(&[b"/\xff"]), Err(ErrorKind::MalformedResponse));
    }
}
