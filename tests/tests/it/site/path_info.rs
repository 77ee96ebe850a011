//! `PATH_INFO` behind a script in every PHP package of the repository. It is data, whatever `php.ini` says: it names no file.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tower_wcgi::{Access, WcgiService};
use wcgi_tests::{engine, get, php, root};

/// Packages, where in their URLs a script is, and whatever of theirs is denied.
const PACKAGES: [(&str, &str, &[&str]); 7] = [
    ("examples/php", "", &[]),
    ("examples/site", "/index.php", &["includes/layout.php"]),
    ("examples/site", "/item.php", &["includes/layout.php"]),
    ("examples/adminer", "/index.php", &[]),
    ("examples/dokuwiki", "/index.php", &["conf/local.protected.php", "inc/init.php", "bin/wikicheck.php"]),
    ("examples/wordpress", "/wp-trackback.php", &["wp-config.php"]),
    ("examples/guestbook/php", "", &[]),
];

#[tokio::test]
async fn no_hidden_denied_or_uploaded_file_is_run_or_shown_through_path_info() {
    let scene = tempfile::tempdir().unwrap();
    let planted = scene.path().join("uploads");
    fs::create_dir(&planted).unwrap();
    for name in [".env", "config.inc", "cat.gif", "notes.txt", "shop.sqlite"] {
        fs::write(planted.join(name), "GIF89a SECRET <?php echo 'RAN ', 6 * 7;").unwrap();
    }
    for (package, script, denied) in PACKAGES {
        let directory = root().join(package);
        let own = fs::read_dir(directory.join("etc")).into_iter().flatten().flatten();
        let own = own.map(|file| file.path()).find(|path| path.ends_with("php.ini"));
        let own = own.map_or_else(String::new, |path| fs::read_to_string(path).unwrap());
        for setting in ["cgi.fix_pathinfo = 0", "cgi.fix_pathinfo = 1"] {
            let etc = scene.path().join("etc");
            fs::create_dir_all(&etc).unwrap();
            fs::write(etc.join("php.ini"), format!("{own}\ndisplay_errors = Off\n{setting}\n")).unwrap();
            let service = open(&directory, &planted, &etc);
            let targets = ["uploads/.env", "uploads/config.inc", "uploads/cat.gif", "uploads/notes.txt"].iter();
            for target in targets.chain(["uploads/shop.sqlite", "uploads/cat.gif/x.php"].iter()).chain(denied) {
                let reply = get(&service, &format!("{script}/{target}")).await;
                let text = reply.text();
                let about = format!("{package} {script}/{target} with {setting}: {} {text}", reply.status);
                assert!(!text.contains("SECRET") && !text.contains("RAN 42"), "{about}");
                // It is the script that answers, or the site that refuses; never a failure.
                assert!(reply.status.as_u16() < 500 && reply.failure.is_none(), "{about}");
                assert!(!text.contains("No input file"), "{about}");
            }
        }
    }
}

/// The package with another `php.ini`, with files that a visitor may not see, and with places to write to.
fn open(directory: &Path, planted: &Path, etc: &Path) -> WcgiService {
    let writable = planted.with_file_name("writable");
    fs::create_dir_all(&writable).unwrap();
    let (reference, php) = php();
    let mut builder = WcgiService::builder()
        .package(directory)
        .dependency(reference, php)
        .engine(engine().max_concurrency(1).build().unwrap())
        .snapshot(false)
        .deadline(Duration::from_secs(100))
        .env("PHPRC", "/etc/probe")
        .env("ADMINER_PASSWORD", "open sesame")
        .map_dir("/etc/probe", etc, Access::ReadOnly)
        .map_dir("/app/uploads", planted, Access::ReadOnly);
    for guest in ["/data", "/db", "/app/wp-content/uploads"] {
        builder = builder.map_dir(guest, &writable, Access::ReadWrite);
    }
    builder.build().unwrap()
}
