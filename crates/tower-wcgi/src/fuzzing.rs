//! The parsers, fed with any bytes, and what must hold whatever they are: only for the fuzz targets, which are in `fuzz/`.
//!
//! It is part of the library as what it tests is private. `cargo fuzz` sets `cfg(fuzzing)`; nothing else builds it.
#![allow(clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a fuzz target ends by a panic")]

use std::io::Read;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use crate::gateway::{self, Head, HeadParser, Progress};
use crate::site::{Accepted, Route, Routes};
use crate::{error, mount, package, tree};

/// A head is the same in one piece and byte by byte, and has nothing that frames or that a client could misread.
pub fn response_head(data: &[u8]) {
    let whole = feed([data]);
    let bytes = feed(data.chunks(1));
    match (whole, bytes) {
        (Some((head, rest)), Some((other, other_rest))) => {
            assert_eq!((format!("{head:?}"), rest), (format!("{other:?}"), other_rest));
            if let Head::Response(head) = head {
                assert!((200..600).contains(&head.status.as_u16()));
                for name in
                    ["connection", "transfer-encoding", "upgrade", "trailer", "keep-alive", "te", "content-length"]
                {
                    assert!(!head.headers.contains_key(name), "{name}");
                }
                assert!(head.headers.values().all(|value| !value.as_bytes().iter().any(|b| b"\r\n\0".contains(b))));
            }
        }
        (None, None) => {}
        (whole, bytes) => panic!("{whole:?} in one piece, {bytes:?} byte by byte"),
    }
}

fn feed<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Option<(Head, Vec<u8>)> {
    let mut parser = HeadParser::new();
    let mut chunks = chunks.into_iter();
    while let Some(chunk) = chunks.next() {
        if let Progress::Head { head, rest } = parser.feed(Bytes::copy_from_slice(chunk)).ok()? {
            return Some((head, chunks.fold(rest.to_vec(), |rest, chunk| [&rest, chunk].concat())));
        }
    }
    None
}

/// The first line is the target, the others are headers. No variable is there twice, none has a NUL, and none is made of
/// what must never pass.
pub fn meta_variables(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let Some(Ok(uri)) = lines.next().map(Uri::try_from) else { return };
    let Ok(target) = gateway::split(uri.path(), uri.path(), None) else { return };
    let mut headers = HeaderMap::new();
    for line in lines.take(1000) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 1..]));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let request = gateway::Request {
        method: &Method::POST,
        version: Version::HTTP_11,
        headers: &headers,
        uri: &uri,
        target: &target,
        script_filename: None,
        content_length: Some(1),
        remote_addr: None,
        https: None,
        remote_user: None,
    };
    let Ok(environ) = gateway::environ(&request, &gateway::Settings::default()) else { return };
    let mut names: Vec<_> = environ.iter().map(|(name, _)| name).collect();
    assert_eq!(environ.block().iter().filter(|byte| **byte == 0).count(), names.len());
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "a variable is there twice");
    for never in ["HTTP_PROXY", "HTTP_AUTHORIZATION", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_CONNECTION"] {
        assert!(!names.contains(&never), "{never}");
    }
}

/// Up to the first line end the mount, then the path. What comes out is below the mount and has nothing to resolve.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (mount, path) = text.split_once('\n').map_or((None, text), |(mount, path)| (Some(mount), path));
    for inner in [path, path.get(path.len() / 2..).unwrap_or(path)] {
        let Ok(target) = gateway::split(path, inner, mount) else { continue };
        let info = &target.path_info;
        assert!(info.is_empty() || info.starts_with(b"/"));
        assert!(!info.contains(&0) && !info.windows(2).any(|pair| pair == b"//"));
        assert!(!info.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| segment == b".."));
    }
}

/// Any path of a site names a script that is there, a file that may be served, or nothing; and the same at once.
pub fn site(data: &[u8]) {
    static SITE: LazyLock<(tempfile::TempDir, Routes)> = LazyLock::new(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (path, content) in [
            ("a.php", "script"),
            ("d/a.php", "script"),
            ("a.php~", "hidden"),
            ("A.PHP", "hidden"),
            ("d/.a", "hidden"),
            ("a.db", "hidden"),
            ("no/a", "hidden"),
            ("no/a.php", "hidden"),
            ("a", "public"),
            ("a.gz", "public"),
            ("d/index.html", "public"),
        ] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it is below")).expect("there is room");
            std::fs::write(path, content).expect("there is room");
        }
        std::os::unix::fs::symlink("../no", dir.path().join("d/l")).expect("there is room");
        let access = mount::Access::ReadOnly;
        let mount = mount::Mount { guest: "/app".to_owned(), host: dir.path().to_owned(), access };
        let site = package::Site::new("/app").scripts([".php"]).deny(["/no/*"]);
        let routes = Routes::new(site, Arc::new(tree::Tree::new(vec![mount]))).expect("a site");
        (dir, routes)
    });
    let Ok(Ok(target)) = std::str::from_utf8(data).map(|path| gateway::split(path, path, None)) else { return };
    let route = SITE.1.route(&target.path_info, &Accepted::default());
    if let Some(at_once) = SITE.1.route_at_once(&target.path_info) {
        assert_eq!(format!("{at_once:?}"), format!("{route:?}"));
    }
    match route {
        Ok(Route::Script(script)) => {
            assert!(["/a.php", "/d/a.php"].contains(&script.name.as_str()));
            assert_eq!([script.name.as_bytes(), &script.path_info].concat(), target.path_info);
        }
        Ok(Route::File(mut file)) => {
            let mut content = String::new();
            file.file.read_to_string(&mut content).expect("it is open");
            assert_eq!(content, "public");
        }
        Ok(Route::Directory) => assert_eq!(target.path_info, b"/d"),
        Err(error) => assert_eq!(error.kind(), error::ErrorKind::NotFound),
    }
}

/// A manifest is a package or an error that says in one line what is wrong, and a command's mounts stay what they are.
pub fn manifest(data: &[u8]) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("wasmer.toml"), data).expect("there is room");
    match package::open(dir.path(), None, &package::Dependencies::default()) {
        Ok(package) => assert!(package.mounts.iter().all(|mount| mount.guest.starts_with('/'))),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
