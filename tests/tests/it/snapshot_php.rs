//! PHP with its start-up, its opcache and a first request in a snapshot: it answers as PHP does without one.
//!
//! Left out where there is no such module: `cargo xtask php` builds one, `cargo xtask setup --php FILE` takes one.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use http::Method;
use tempfile::TempDir;
use tower_wcgi::{Access, WcgiBuilder, WcgiService};
use wcgi_tests::{ask, engine, get, guest, request};

use crate::log;

#[tokio::test]
async fn php_answers_from_a_snapshot_as_without_one() {
    let site = Site::new(&format!("{WARMUP}reseeds = true"));
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
    let site = Site::new(&format!("{WARMUP}reseeds = true"));
    let service = site.builder().build().unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let reply = get(&service, "/random.php").await;
        let values: Vec<_> = reply.text().lines().map(str::to_owned).collect();
        assert_eq!(values.len(), 11, "{}", reply.text());
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
    let site = Site::new(WARMUP);
    let service = site.builder().build().unwrap();
    assert_eq!(get(&service, "/opcache.php").await.text(), "not compiled");
}

#[tokio::test]
async fn edited_pages_show_and_databases_are_written() {
    let site = Site::new(&format!("{WARMUP}reseeds = true"));
    let service = site.builder().build().unwrap();
    assert_eq!(get(&service, "/page.php").await.text(), "edition 1");
    fs::write(site.0.path().join("app/page.php"), "<?php echo 'edition ', 2;").unwrap();
    assert_eq!(get(&service, "/page.php").await.text(), "edition 2", "the snapshot has the first one compiled");
    for n in 1..=3 {
        assert_eq!(get(&service, "/visits.php").await.text(), n.to_string());
    }
}

/// PHP's start-up looks at none of its own, and keeps no copy of them.
#[tokio::test]
async fn variables_that_the_start_up_has_no_need_of_make_no_other_snapshot() {
    let (site, cache) = (Site::new("reseeds = true"), tempfile::tempdir().unwrap());
    site.write("app/name.php", "<?php echo getenv('NAME'), ' ', $_SERVER['NAME'];");
    let engine = engine().max_concurrency(2).cache_dir(cache.path()).build().unwrap();
    let names = ["a", "another", "one that is longer than both of them"];
    let services = names.map(|name| site.builder().engine(engine.clone()).env("NAME", name).build().unwrap());
    for (service, name) in services.iter().zip(names) {
        assert_eq!(get(service, "/name.php").await.text(), format!("{name} {name}"));
    }
    let directories = fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path());
    let files = directories.flat_map(|directory| fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()));
    let images = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "image"));
    let mut sizes: Vec<_> = images.map(|file| file.metadata().unwrap().len()).collect();
    sizes.sort_unstable();
    assert!(sizes.len() == 3 && sizes[1] < 1000, "two refer to the first: {sizes:?}");
}

/// What a start-up prints answers nobody.
#[tokio::test]
async fn what_is_wrong_with_php_ini_is_in_the_log() {
    log::capture();
    let site = Site::new(&format!("{WARMUP}reseeds = true"));
    // Not one that an earlier run has left in the cache, whose start-up would not be run.
    let unique = site.0.path().display();
    site.write("etc/php.ini", &format!("{INI}extension = nosuch\n; {unique}\n"));
    let service = site.builder().build().unwrap();
    assert_eq!(get(&service, "/opcache.php").await.text(), "compiled");
    assert!(log::about("initialisation").iter().any(|line| line.contains("nosuch")));
}

/// A deployment switches a link inside of a mount. The start-up has looked through it.
#[cfg(unix)]
#[tokio::test]
async fn a_release_switched_by_a_link_is_answered_whole() {
    let switch = |site: &Site, release: &str| {
        let next = site.0.path().join("app/next");
        std::os::unix::fs::symlink(format!("releases/{release}"), &next).unwrap();
        fs::rename(&next, site.0.path().join("app/current")).unwrap();
    };
    let site = Site::new("warmup = ['/index.php']\nreseeds = true");
    for release in ["1", "2", "3"] {
        site.write(&format!("app/releases/{release}/s.txt"), release);
        let text = format!(
            "<?php require 'part.php'; echo ' ', {release}, ' ', __DIR__, ' ', opcache_is_script_cached(__FILE__);"
        );
        site.write(&format!("app/releases/{release}/index.php"), &text);
        site.write(&format!("app/releases/{release}/part.php"), &format!("<?php echo {release};"));
    }
    switch(&site, "1");
    let manifest = fs::read_to_string(site.0.path().join("wasmer.toml")).unwrap();
    let table = "[command.annotations.wcgi.site]\nroot = '/app/current'\nscripts = ['.php']\n[fs]\n";
    let manifest = manifest.replace(", 'REDIRECT_STATUS=200', 'DOCUMENT_ROOT=/app'", "").replace("[fs]\n", table);
    site.write("wasmer.toml", &manifest);
    let engine = engine().max_concurrency(2).build().unwrap();
    let service = WcgiService::builder().package(site.0.path()).engine(engine).build().unwrap();
    assert_eq!(get(&service, "/").await.text(), "1 1 /app/releases/1 1", "a snapshot");
    for release in ["2", "3", "1"] {
        switch(&site, release);
        let page = get(&service, "/").await.text();
        assert!(page.starts_with(&format!("{release} {release} /app/releases/{release} ")), "{page}");
        assert_eq!(get(&service, "/s.txt").await.text(), release);
        // And soon from a snapshot again, which has the page compiled.
        let renewed = async {
            while !get(&service, "/").await.text().ends_with(" 1") {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(100), renewed).await.expect("another snapshot");
        assert!(get(&service, "/").await.text().starts_with(&format!("{release} {release} ")));
    }
}

#[tokio::test]
async fn nothing_of_one_request_is_seen_by_the_next() {
    let site = Site::new("warmup = ['/leave.php?of-the-warm-up']\nreseeds = true");
    let service = site.builder().build().unwrap();
    for n in 0..3 {
        let reply = get(&service, &format!("/leave.php?{n}")).await;
        assert_eq!(reply.text(), "function 1, class 1, found: ", "request {n}");
    }
}

/// The variables as they were are another matter. This php-cgi frees the lines of the file, libc's copies of them and the file's
/// buffer, and leaves their content in that memory.
#[tokio::test]
async fn what_a_warm_up_page_made_of_its_secrets_is_not_in_the_image() {
    let secrets = ["q7Zt4vXw9LkB2nRs", "H3yJ8mPc5DfG6aQe", "u1TrVb0NiWoK7xYz"];
    let site = Site::new("env = ['PHP_WARMUP=/etc/php/warmup.txt']\nreseeds = true");
    // Headers can only be in a file of the package's own.
    let line = format!(
        "REQUEST_METHOD=GET\tREDIRECT_STATUS=200\tGATEWAY_INTERFACE=CGI/1.1\tSERVER_PROTOCOL=HTTP/1.1\tPATH_INFO=/secret.php\t\
         QUERY_STRING=key={}\tHTTP_X_SECRET={}\tHTTP_COOKIE=session={}\tSCRIPT_NAME=/index.php\n",
        secrets[0], secrets[1], secrets[2]
    );
    site.write("etc/warmup.txt", &line);
    let out = site.0.path().join("out");
    let exported = site.builder().export(&out).unwrap();
    assert!(exported.is_snapshot());
    let image = fs::read(out.join("php.wasm")).unwrap();
    let contains = |text: &str| image.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains("compiled with the page"), "the warm-up has run");
    for secret in secrets {
        let (one, other) = secret.split_at(8);
        for half in [one, other] {
            for form in [half.to_uppercase(), half.chars().rev().collect()] {
                assert!(!contains(&form), "{form} of {secret}");
            }
        }
    }

    // The first of all requests finds nothing of it, and the package answers.
    let builder = WcgiService::builder().package(&out).engine(engine().max_concurrency(2).build().unwrap());
    let service = builder.map_dir("/db", site.0.path().join("db"), Access::ReadWrite).build().unwrap();
    assert_eq!(get(&service, "/page.php").await.text(), "edition 1");
    assert_eq!(get(&service, "/secret.php").await.text(), "compiled with the page, strlen 0");
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
             [command.annotations.wcgi.snapshot]\n{snapshot}\n\
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

const WARMUP: &str = "warmup = ['/random.php?page=of-the-warm-up', '/page.php?page=of-the-warm-up']\n";

/// `index.php` is what every URL comes to, and takes the page from the path.
const PAGES: [(&str, &str); 13] = [
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
$values = [bin2hex(random_bytes(8)), random_int(0, PHP_INT_MAX), mt_rand(), rand(), lcg_value(), uniqid('', true), session_id(), microtime(true),
    password_hash('a', PASSWORD_BCRYPT, ['cost' => 4]), str_shuffle(str_repeat('abcdefgh', 8)), bin2hex((new Random\Randomizer)->getBytes(8))];
echo implode("\n", $values);"#,
    ),
    ("page.php", "<?php echo 'edition ', 1;"),
    (
        "leave.php",
        r"<?php class Kept { static $n = 0; }
function kept() { static $n = 0; return ++$n; }
$found = [];
foreach (['left' => 1] as $name => $_) if (isset($GLOBALS[$name])) $found[] = 'global';
if (isset($_SERVER['LEFT'])) $found[] = 'server';
if (defined('LEFT')) $found[] = 'constant';
if (ini_get('precision') == 3) $found[] = 'setting';
if (error_get_last()) $found[] = 'error';
if (file_exists('/tmp/left')) $found[] = 'file';
if (headers_list() != ['X-Powered-By: PHP/' . PHP_VERSION]) $found[] = 'header';
if (function_exists('left')) $found[] = 'function';
$text = 'function ' . kept() . ', class ' . ++Kept::$n . ', found: ' . implode(' ', $found);
$left = 1; $_SERVER['LEFT'] = 1; define('LEFT', 1); ini_set('precision', 3); @trigger_error('left');
file_put_contents('/tmp/left', 'x'); header('X-Left: 1'); eval('function left() {}');
echo $text;",
    ),
    (
        "secret.php",
        r"<?php $all = ($_GET['key'] ?? '') . ($_SERVER['HTTP_X_SECRET'] ?? '') . ($_COOKIE['session'] ?? '');
$kept = ['upper' => strtoupper($all), 'reversed' => strrev($all), 'object' => (object) [strrev($all)]];
usort($kept, fn ($a, $b) => 0);
echo 'compiled with the page, strlen ', strlen($all);",
    ),
    (
        "visits.php",
        r"<?php $db = new SQLite3('/db/visits.sqlite');
$db->exec('CREATE TABLE IF NOT EXISTS visits (n INTEGER)');
$db->exec('INSERT INTO visits VALUES (1)');
echo $db->querySingle('SELECT count(*) FROM visits');",
    ),
];
