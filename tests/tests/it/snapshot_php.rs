//! PHP with its start-up, its opcache and a first request in a snapshot: it answers as PHP does without one.
//!
//! The module is not to be fetched anywhere, so this is left out where `cargo xtask setup` was not given one.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use http::Method;
use tempfile::TempDir;
use tower_wcgi::{Access, WcgiBuilder, WcgiService};
use wcgi_tests::{ask, engine, get, guest, request};

#[tokio::test]
async fn php_answers_from_a_snapshot_as_without_one() {
    let site = Site::new("reseeds = true");
    let (plain, snapshot) = (site.builder().snapshot(false).build().unwrap(), site.builder().build().unwrap());
    assert_eq!(get(&plain, "/opcache.php").await.text(), "not compiled");
    assert_eq!(get(&snapshot, "/opcache.php").await.text(), "compiled");
    for target in ["/env.php?a=1", "/status.php", "/fatal.php", "/uncaught.php", "/exit.php", "/missing.php"] {
        let (expected, reply) = (get(&plain, target).await, get(&snapshot, target).await);
        assert_eq!((reply.status, reply.failure, reply.text()), (expected.status, expected.failure, expected.text()));
        assert_eq!(reply.header("x-powered-by"), expected.header("x-powered-by"));
        assert!(!reply.text().contains("of-the-warm-up"), "{target}: {}", reply.text());
    }
    for _ in 0..2 {
        let mut form = request(Method::POST, "/post.php", "name=J%C3%B6rg");
        form.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
        assert_eq!(ask(&snapshot, form).await.text(), "Jörg");
    }
}

#[tokio::test]
async fn random_numbers_sessions_and_time_are_each_requests_own() {
    let site = Site::new("reseeds = true");
    let service = site.builder().build().unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let reply = get(&service, "/random.php").await;
        let values: Vec<_> = reply.text().lines().map(str::to_owned).collect();
        assert_eq!(values.len(), 8, "{}", reply.text());
        for value in values {
            assert!(!seen.contains(&value), "{value} again, after {seen:?}");
            seen.push(value);
        }
    }
}

/// The warm-up calls `mt_rand`, whose state is left in memory. PHP seeds it anew in each request, but only its packager
/// can know that.
#[tokio::test]
async fn a_warm_up_that_uses_random_numbers_has_to_be_vouched_for() {
    let site = Site::new("");
    let service = site.builder().build().unwrap();
    assert_eq!(get(&service, "/opcache.php").await.text(), "not compiled");
}

#[tokio::test]
async fn edited_pages_show_and_databases_are_written() {
    let site = Site::new("reseeds = true");
    let service = site.builder().build().unwrap();
    assert_eq!(get(&service, "/page.php").await.text(), "edition 1");
    fs::write(site.0.path().join("app/page.php"), "<?php echo 'edition ', 2;").unwrap();
    assert_eq!(get(&service, "/page.php").await.text(), "edition 2", "the snapshot has the first one compiled");
    for n in 1..=3 {
        assert_eq!(get(&service, "/visits.php").await.text(), n.to_string());
    }
}

/// A package, its files always with the same times, so that its snapshot is found again in the cache.
struct Site(TempDir);

impl Site {
    fn new(snapshot: &str) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        for (name, text) in PAGES {
            site.write(&format!("app/{name}"), text);
        }
        site.write("etc/php.ini", INI);
        let manifest = format!(
            "[[module]]\nname = 'php'\nsource = {:?}\n[[command]]\nname = 'php'\nmodule = 'php'\nrunner = 'wcgi'\n\
             [command.annotations.wasi]\nenv = ['PHPRC=/etc/php', 'REDIRECT_STATUS=200', 'DOCUMENT_ROOT=/app']\n\
             [command.annotations.wcgi.snapshot]\n\
             warmup = ['/random.php?page=of-the-warm-up', '/page.php?page=of-the-warm-up']\n{snapshot}\n\
             [fs]\n'/app' = 'app'\n'/etc/php' = 'etc'\n",
            guest("snapshot-php")
        );
        site.write("wasmer.toml", &manifest);
        fs::create_dir(site.0.path().join("db")).unwrap();
        site
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).unwrap();
        fs::write(&path, text).unwrap();
        let file = File::options().append(true).open(&path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
    }

    fn builder(&self) -> WcgiBuilder {
        let engine = engine().max_concurrency(2).build().unwrap();
        let builder = WcgiService::builder().package(self.0.path()).engine(engine);
        builder.env("SCRIPT_FILENAME", "/app/index.php").map_dir("/db", self.0.path().join("db"), Access::ReadWrite)
    }
}

const INI: &str = "display_errors = On\nhtml_errors = Off\nlog_errors = Off\nmemory_limit = 32M\ncgi.fix_pathinfo = 0\n\
                   session.save_path = /tmp\nopcache.enable = 1\nopcache.memory_consumption = 16\n\
                   opcache.interned_strings_buffer = 4\nopcache.validate_timestamps = 1\nopcache.revalidate_freq = 0\n\
                   opcache.file_update_protection = 0\nopcache.lockfile_path = /tmp\n";

/// `index.php` is what every URL comes to, and takes the page from the path.
const PAGES: [(&str, &str); 11] = [
    (
        "index.php",
        "<?php $page = '/app' . $_SERVER['PATH_INFO'];\nif (is_file($page)) require $page; else http_response_code(404);",
    ),
    (
        "opcache.php",
        r#"<?php $status = opcache_get_status(); echo isset($status['scripts']['/app/page.php']) ? 'compiled' : 'not compiled';"#,
    ),
    (
        "env.php",
        "<?php $all = $_SERVER + getenv(); ksort($all); unset($all['REQUEST_TIME'], $all['REQUEST_TIME_FLOAT']);\nvar_dump($all, $_GET);",
    ),
    ("status.php", "<?php http_response_code(418); setcookie('a', '1'); echo 'tea';"),
    ("fatal.php", "<?php $text = ''; while (true) $text .= str_repeat('x', 1 << 20);"),
    ("uncaught.php", "<?php function f() { throw new Exception('no'); }\nf();"),
    ("exit.php", "<?php echo 'before'; exit(3);"),
    ("post.php", "<?php echo $_POST['name'];"),
    (
        "random.php",
        r#"<?php session_start();
$values = [bin2hex(random_bytes(8)), random_int(0, PHP_INT_MAX), mt_rand(), rand(), lcg_value(), uniqid('', true), session_id(), microtime(true)];
echo implode("\n", $values);"#,
    ),
    ("page.php", "<?php echo 'edition ', 1;"),
    (
        "visits.php",
        r"<?php $db = new SQLite3('/db/visits.sqlite');
$db->exec('CREATE TABLE IF NOT EXISTS visits (n INTEGER)');
$db->exec('INSERT INTO visits VALUES (1)');
echo $db->querySingle('SELECT count(*) FROM visits');",
    ),
];
