//! Sites of packages, and of several mounts.

use std::fs;

use tower_wcgi::{Access, WcgiService};
use wcgi_tests::{engine, example, get, guest};

use super::{files, site, summary, write};

/// A package with a site, its module `env`.
fn manifest(site: &str) -> String {
    format!(
        "[[module]]\nname = 'm'\nsource = {:?}\n[[command]]\nname = 'c'\nmodule = 'm'\nrunner = 'wcgi'\n\
         [fs]\n'/app' = 'app'\n[command.annotations.wcgi.site]\n{site}\n",
        guest("env")
    )
}

#[tokio::test]
async fn a_package_says_its_site() {
    let package =
        files(&[("app/a.php", ""), ("app/style.css", "css"), ("app/home.html", "home"), ("app/private/x", "x")]);
    let text =
        manifest("root = 'app'\nscripts = ['.php']\nindex = ['home.html']\nfallback = '/a.php'\ndeny = ['/private/*']");
    write(package.path(), "wasmer.toml", &text);
    let service = WcgiService::builder().package(package.path()).engine(engine().build().unwrap()).build().unwrap();
    for (path, expected) in [
        ("/", "200 home"),
        ("/a.php/x", "/a.php + \"/x\""),
        ("/pretty", "/a.php + \"\""),
        ("/style.css", "200 css"),
        ("/private/x", "404 Not Found"),
        ("/wasmer.toml", "404 Not Found"),
    ] {
        assert_eq!(summary(&get(&service, path).await), expected, "{path}");
    }
    let own = tower_wcgi::Site::new("/app").scripts([".php"]).index(["style.css"]);
    let service = WcgiService::builder().package(package.path()).engine(engine().build().unwrap()).site(own);
    assert_eq!(summary(&get(&service.build().unwrap(), "/").await), "200 css", "the builder's site wins");
}

#[tokio::test]
async fn a_root_that_is_no_directory_of_a_mount_is_named_with_its_line() {
    let package = files(&[("app/a.php", ""), ("other/b.php", "")]);
    for (root, message) in [
        ("/srv", "/srv is not a directory of a mount"),
        ("/", "/ is not a directory of a mount"),
        ("/app/gone", "/app/gone is not a directory of a mount"),
        ("/app/a.php", "/app/a.php is a file"),
        ("/tmp", "/tmp is not a directory of a mount"),
    ] {
        write(package.path(), "wasmer.toml", &manifest(&format!("root = '{root}'\nscripts = ['.php']")));
        let builder = || WcgiService::builder().package(package.path()).engine(engine().build().unwrap());
        let error = builder().build().unwrap_err().to_string();
        let place = package.path().join("wasmer.toml");
        assert_eq!(error, format!("{}:11: command.annotations.wcgi.site.root: {message}", place.display()));
        // What the operator mounts counts.
        if root == "/srv" {
            let built = builder().map_dir("/srv", package.path().join("other"), Access::ReadOnly).build().unwrap();
            assert_eq!(summary(&get(&built, "/b.php").await), "/b.php + \"\"");
        }
    }
}

#[tokio::test]
async fn what_would_answer_for_others_must_itself_be_served() {
    let dir = files(&[("index.php", "")]);
    for (service, message) in [
        (site(dir.path(), |site| site.fallback("/private/index.php").deny(["/private"])), "site.fallback"),
        (site(dir.path(), |site| site.fallback("/.hidden/index.php")), "site.fallback"),
        (site(dir.path(), |site| site.fallback("/index.php.bak")), "site.fallback"),
        (site(dir.path(), |site| site.index(["index.wasm"])), "site.index"),
        (site(dir.path(), |site| site.index(["INDEX.PHP"])), "site.index"),
        (site(dir.path(), |site| site.scripts(["php"])), "site.scripts: \"php\" is no extension"),
    ] {
        let error = service.build().unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}

#[tokio::test]
async fn a_mount_below_the_root_is_a_part_of_the_site() {
    let (app, uploads) = (files(&[("index.php", ""), ("up/old.txt", "covered")]), files(&[("a.txt", "uploaded")]));
    write(uploads.path(), "sub/index.html", "index below");
    let service = site(app.path(), |site| site.fallback("/index.php"))
        .map_dir("/app/up", uploads.path(), Access::ReadWrite)
        .map_dir("/app/far/away", uploads.path(), Access::ReadOnly)
        .build()
        .unwrap();
    for (path, expected) in [
        ("/up/a.txt", "200 uploaded"),
        ("/far/away/a.txt", "200 uploaded"),
        ("/up/old.txt", "/index.php + \"\""),
        ("/up/sub", "301 /up/sub/"),
        ("/up/sub/", "200 index below"),
        ("/up", "/index.php + \"\""),
        ("/far", "/index.php + \"\""),
    ] {
        assert_eq!(summary(&get(&service, path).await), expected, "{path}");
    }
    fs::write(uploads.path().join("index.html"), "uploads").unwrap();
    assert_eq!(summary(&get(&service, "/up").await), "301 /up/");
    assert_eq!(summary(&get(&service, "/up/").await), "200 uploads");
}

/// The script's own `/tmp` is of its exchange alone, whatever the host has there.
#[tokio::test]
async fn a_site_at_the_guests_root_has_no_tmp() {
    let dir = files(&[("index.php", ""), ("tmp/a.txt", "not this"), ("tmpfile.txt", "this")]);
    let service = wcgi_tests::builder("env").map_dir("/", dir.path(), Access::ReadOnly);
    let service = service.site(tower_wcgi::Site::new("/").scripts([".php"])).build().unwrap();
    assert_eq!(summary(&get(&service, "/tmp/a.txt").await), "404 Not Found");
    assert_eq!(summary(&get(&service, "/tmpfile.txt").await), "200 this");
    let reply = get(&service, "/").await;
    assert_eq!(reply.variable("SCRIPT_FILENAME").as_deref(), Some("/index.php"));
    assert_eq!(reply.variable("DOCUMENT_ROOT").as_deref(), Some("/"));
}

#[tokio::test]
async fn a_webc_brings_its_site() {
    use webc::metadata::annotations::{FileSystemMapping, FileSystemMappings, WCGI_RUNNER_URI};
    use webc::metadata::{Annotation, Command, Manifest};
    use webc::v3::{ChecksumAlgorithm, SignatureAlgorithm, Timestamps, write};
    let text = |text: &str| Annotation::Text(text.to_owned());
    let list = |item: &str| Annotation::Array(vec![text(item)]);
    let site =
        [("root", text("/app")), ("scripts", list(".php")), ("fallback", text("/a.php")), ("deny", list("*.sql"))];
    let site = Annotation::Map(site.into_iter().map(|(key, value)| (text(key), value)).collect());
    let mut manifest = Manifest::default();
    let annotations = [("wcgi".to_owned(), Annotation::Map(vec![(text("site"), site)]))].into_iter().collect();
    manifest.commands.insert("env".to_owned(), Command { runner: WCGI_RUNNER_URI.to_owned(), annotations });
    let mapping = FileSystemMapping {
        from: None,
        volume_name: "/app".to_owned(),
        host_path: Some("/".to_owned()),
        mount_path: "/app".to_owned(),
    };
    let mappings = Annotation::serialized(&FileSystemMappings(vec![mapping])).unwrap();
    manifest.package.insert("fs".to_owned(), mappings);

    let mut app = write::Directory::default();
    for (name, content) in [("a.php", &b"<?php"[..]), ("style.css", b"css"), ("dump.sql", b"secret")] {
        app.children.insert(name.parse().unwrap(), write::FileEntry::borrowed(content, Timestamps::default()).into());
    }
    let module = fs::read(guest("env")).unwrap();
    let atoms = [("env".parse().unwrap(), write::FileEntry::borrowed(&module, Timestamps::default()))];
    let writer = write::Writer::new(ChecksumAlgorithm::Sha256).write_manifest(&manifest).unwrap();
    let writer = writer.write_atoms(atoms.into_iter().collect()).unwrap().with_volume("/app", app).unwrap();
    let dir = files(&[]);
    let path = dir.path().join("site.webc");
    fs::write(&path, writer.finish(SignatureAlgorithm::None).unwrap()).unwrap();

    let service = WcgiService::builder().package(path).engine(engine().build().unwrap()).build().unwrap();
    for (path, expected) in [
        ("/a.php/x", "/a.php + \"/x\""),
        ("/pretty", "/a.php + \"\""),
        ("/style.css", "200 css"),
        ("/dump.sql", "404 Not Found"),
    ] {
        assert_eq!(summary(&get(&service, path).await), expected, "{path}");
    }
}

#[tokio::test]
async fn the_example_runs() {
    let site = example("site").engine(engine().build().unwrap());
    let site = site.build().unwrap();
    for (path, status, part) in [
        ("/", 200, "index of the directory"),
        ("/item.php/blue/42", 200, "<em>blue 42</em>"),
        ("/hello/Ada", 200, "Hello, Ada!"),
        ("/no/such/page", 404, "There is no /no/such/page"),
        ("/style.css", 200, "body {"),
        ("/help", 301, ""),
        ("/help/", 200, "A page without a script"),
        ("/includes/layout.php", 404, "Not Found"),
    ] {
        let reply = get(&site, path).await;
        assert_eq!(reply.status.as_u16(), status, "{path}");
        assert!(reply.text().contains(part), "{path}: {}", reply.text());
    }
}
