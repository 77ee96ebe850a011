//! Any path over real directories: what it names is what it says, and never what is hidden.

use std::fs;
use std::io::Read;
use std::path::Path;

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;
use proptest::prelude::*;

use super::*;
use crate::mount::{Access, Mount, overlay};

const SCRIPTS: [&str; 3] = ["/a.php", "/dir/a.php", "/dir/x.php/a.php"];

/// Files that say what they are: `script`, `hidden` or `public`.
fn site(root: &Path, settings: impl FnOnce(Site) -> Site) -> Routes {
    for (path, content) in [
        ("a.php", "script"),
        ("dir/a.php", "script"),
        ("dir/x.php/a.php", "script"),
        ("a.php.gz", "hidden"),
        ("A.PHP", "hidden"),
        (".a", "hidden"),
        ("dir/.a/a", "hidden"),
        ("dir/a.db", "hidden"),
        ("denied/a", "hidden"),
        ("denied/dir/a.php", "hidden"),
        ("a", "public"),
        ("a.gz", "public"),
        ("dir/a", "public"),
        ("dir/index.html", "public"),
        ("dir/a.txt", "public"),
        ("dir/a.txt.gz", "public"),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    #[cfg(unix)]
    for (to, name) in [("../a.php", "dir/link"), ("../denied", "dir/open"), (".", "self"), ("/etc", "out")] {
        std::os::unix::fs::symlink(to, root.join(name)).unwrap();
    }
    let mount = Mount { guest: "/app".to_owned(), host: root.to_owned(), access: Access::ReadOnly };
    let site = Site::new("/app").scripts([".php"]).deny(["/denied/*"]);
    Routes::new(settings(site), Arc::new(Tree::new(overlay(Vec::new(), vec![mount])))).unwrap()
}

fn accepted() -> Accepted {
    Accepted::of(&HeaderMap::from_iter([(ACCEPT_ENCODING, "gzip, br".parse().unwrap())]))
}

proptest! {
    #[test]
    fn what_a_path_names_is_there_and_meant_for_it(
        paths in prop::collection::vec(r"(/|a|\.php|\.PHP|\.gz|\.txt|\.db|dir|denied|self|dir/open|link|out|x|\.|index\.html|\\|é){0,9}", 1..60),
        with_fallback: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let routes = site(dir.path(), |site| if with_fallback { site.fallback("/a.php") } else { site });
        for path in paths {
            // As the gateway gives it.
            let path = format!("/{path}");
            let segments = path.split('/').filter(|segment| !matches!(*segment, "" | "." | ".."));
            let mut normal: String = segments.flat_map(|segment| ["/", segment]).collect();
            if path.ends_with('/') {
                normal.push('/');
            }
            let at_once = routes.route_at_once(normal.as_bytes());
            let route = routes.route(normal.as_bytes(), &accepted());
            if let Some(at_once) = at_once {
                prop_assert_eq!(format!("{at_once:?}"), format!("{route:?}"), "{}", normal);
            }
            match route {
                Ok(Route::Script(script)) => {
                    let direct = script.name.replace("/self", "");
                    prop_assert!(SCRIPTS.contains(&direct.as_str()), "{normal}: {script:?}");
                    prop_assert_eq!(&script.filename, &format!("/app{}", script.name));
                    let whole = [script.name.as_bytes(), &script.path_info].concat();
                    let is_fallback = with_fallback && script.name == "/a.php" && script.path_info.is_empty();
                    prop_assert!(whole == normal.as_bytes() || is_fallback, "{normal}: {script:?}");
                }
                Ok(Route::File(mut file)) => {
                    let mut content = String::new();
                    file.file.read_to_string(&mut content).unwrap();
                    prop_assert_eq!(content, "public", "{}", normal);
                }
                Ok(Route::Directory) => prop_assert!(!normal.ends_with('/') && normal.ends_with("dir"), "{normal}"),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::NotFound, "{}", normal),
            }
        }
    }

    #[test]
    fn any_bytes_are_routed(path in prop::collection::vec(any::<u8>(), 0..200)) {
        let dir = tempfile::tempdir().unwrap();
        let path = [b"/".as_slice(), &path].concat();
        if let Err(error) = site(dir.path(), |site| site).route(&path, &accepted()) {
            prop_assert_eq!(error.kind(), ErrorKind::NotFound);
        }
    }
}

/// A thread switch for each script would cost more than the look-up.
#[cfg(target_os = "linux")]
#[test]
fn what_the_kernel_knows_is_routed_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let routes = site(dir.path(), |site| site.fallback("/a.php"));
    for (path, expected) in [
        ("/a.php/x", Some("/a.php")),
        ("/pretty/link/", Some("/a.php")),
        ("/pretty", Some("/a.php")),
        ("/dir/a.php", Some("/dir/a.php")),
        ("/.a", Some("")),
        ("/dir", Some("")),
        // To be opened for reading, or a link on the way.
        ("/dir/a", None),
        ("/dir/", None),
        ("/self/a.php", None),
    ] {
        let _ = routes.route(path.as_bytes(), &accepted());
        let script = routes.route_at_once(path.as_bytes()).map(|route| match route {
            Ok(Route::Script(script)) => script.name,
            _ => String::new(),
        });
        assert_eq!(script.as_deref(), expected, "{path}");
    }
    let script = dir.path().join("a.php");
    fs::remove_file(&script).unwrap();
    assert!(routes.route(b"/a.php", &accepted()).is_err() && !matches!(routes.route_at_once(b"/a.php"), Some(Ok(_))));
    fs::write(&script, "script").unwrap();
    assert!(routes.route(b"/a.php", &accepted()).is_ok() && !matches!(routes.route_at_once(b"/a.php"), Some(Err(_))));
    // A script that may not be readable is left to an open that tries.
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(routes.route_at_once(b"/a.php").is_none());
}

/// A path of many parts costs no more look-ups than it has scripts that are there.
#[test]
fn a_long_path_is_no_burden() {
    let dir = tempfile::tempdir().unwrap();
    let routes = site(dir.path(), |site| site.fallback("/a.php").deny(["*a*b*c*d*e*f.php"]));
    for part in ["/x.php", "/self/x.php", "/a.PHP.db", "/self", "/."] {
        let path = part.repeat((64 << 10) / part.len());
        let mut look_ups = routes.tree.look();
        let _ = routes.route_in(&mut look_ups, path.as_bytes(), &accepted());
        // The first script that is not there, or the path itself; then the fallback.
        assert!(look_ups.count <= 2, "{} look-ups for {part} over and over", look_ups.count);
    }
    let mut look_ups = routes.tree.look();
    routes.route_in(&mut look_ups, b"/dir/a.php/a.php/a.php", &accepted()).unwrap();
    assert_eq!(look_ups.count, 1, "a script that is there is found at once");
}
