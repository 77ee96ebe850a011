//! A site is changed while it runs, and the next request sees it.

use std::fs;

use wcgi_tests::get;

use super::{files, site, summary, write};

#[tokio::test]
async fn new_changed_and_deleted_files_show_on_the_next_request() {
    let dir = files(&[("index.php", "")]);
    let service = site(dir.path(), |site| site.fallback("/index.php")).build().unwrap();
    let expect = async |path: &str, expected: &str| {
        assert_eq!(summary(&get(&service, path).await), expected, "{path}");
    };
    for _ in 0..2 {
        expect("/a.txt", "/index.php + \"\"").await;
        write(dir.path(), "a.txt", "new");
        expect("/a.txt", "200 new").await;
        write(dir.path(), "a.txt", "changed");
        expect("/a.txt", "200 changed").await;
        fs::remove_file(dir.path().join("a.txt")).unwrap();

        expect("/b.php/x", "/index.php + \"\"").await;
        write(dir.path(), "b.php", "");
        expect("/b.php/x", "/b.php + \"/x\"").await;
        fs::remove_file(dir.path().join("b.php")).unwrap();

        expect("/new/", "/index.php + \"\"").await;
        write(dir.path(), "new/index.html", "a new directory");
        expect("/new/", "200 a new directory").await;
        expect("/new", "301 /new/").await;
        write(dir.path(), "new/index.php", "");
        expect("/new/", "/new/index.php + \"\"").await;
        fs::remove_dir_all(dir.path().join("new")).unwrap();
    }
    fs::remove_file(dir.path().join("index.php")).unwrap();
    expect("/", "404 Not Found").await;
    expect("/a.txt", "404 Not Found").await;
    write(dir.path(), "index.html", "no script any more");
    expect("/", "200 no script any more").await;
}

/// A file becomes a directory, and a directory a file.
#[tokio::test]
async fn a_path_may_come_to_mean_something_else() {
    let dir = files(&[("a", "file"), ("b.php/index.html", "directory")]);
    let service = site(dir.path(), |site| site).build().unwrap();
    assert_eq!(summary(&get(&service, "/a").await), "200 file");
    assert_eq!(summary(&get(&service, "/b.php").await), "301 /b.php/");
    fs::remove_file(dir.path().join("a")).unwrap();
    fs::remove_dir_all(dir.path().join("b.php")).unwrap();
    write(dir.path(), "a/index.html", "directory");
    write(dir.path(), "b.php", "");
    assert_eq!(summary(&get(&service, "/a").await), "301 /a/");
    assert_eq!(summary(&get(&service, "/b.php").await), "/b.php + \"\"");
}

/// A deployment that swaps a link, as many do, be it the mount or a directory in it.
#[cfg(unix)]
#[tokio::test]
async fn a_swapped_release_is_the_site() {
    use std::os::unix::fs::symlink;
    let dir = files(&[
        ("releases/1/public/a.txt", "first"),
        ("releases/2/public/a.txt", "second"),
        ("releases/1/public/index.php", ""),
        ("releases/2/public/.git/config", "secret"),
    ]);
    let current = dir.path().join("current");
    symlink("releases/1", &current).unwrap();
    let mounted = site(&current.join("public"), |site| site).build().unwrap();
    let within = wcgi_tests::builder("env")
        .map_dir("/srv", dir.path(), tower_wcgi::Access::ReadOnly)
        .site(tower_wcgi::Site::new("/srv/current/public").scripts([".php"]))
        .build()
        .unwrap();
    for service in [&mounted, &within] {
        assert_eq!(summary(&get(service, "/a.txt").await), "200 first");
        assert_eq!(summary(&get(service, "/").await), "/index.php + \"\"");
    }
    symlink("releases/2", dir.path().join("next")).unwrap();
    fs::rename(dir.path().join("next"), &current).unwrap();
    for service in [&mounted, &within] {
        assert_eq!(summary(&get(service, "/a.txt").await), "200 second");
        assert_eq!(summary(&get(service, "/").await), "404 Not Found");
        assert_eq!(summary(&get(service, "/.git/config").await), "404 Not Found");
    }
    // A mount that is gone is the host's fault, and comes back.
    fs::remove_file(&current).unwrap();
    assert_eq!(get(&mounted, "/a.txt").await.status, 500);
    assert_eq!(get(&within, "/a.txt").await.status, 404);
    symlink("releases/1", &current).unwrap();
    assert_eq!(summary(&get(&mounted, "/a.txt").await), "200 first");
}
