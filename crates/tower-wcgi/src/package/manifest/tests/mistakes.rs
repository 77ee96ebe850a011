//! What each mistake is answered with, and text that is no manifest at all.

use super::*;

#[test]
fn each_mistake_is_named_with_file_line_and_key() {
    let scene = Scene::new();
    for (added, expected) in [
        // Wrong types.
        ("runner = 1", ":7: command.runner: expected a string, found an integer"),
        ("annotations = 'x'", ":7: command.annotations: expected a table, found a string"),
        ("annotations.wasi = []", ":7: command.annotations.wasi: expected a table, found an array"),
        (
            "annotations.wasi.env = 'A=1'",
            ":7: command.annotations.wasi.env: expected an array of strings, found a string",
        ),
        (
            "[command.annotations.wasi]\nenv = [\n'A=1',\n2.5\n]",
            ":10: command.annotations.wasi.env: expected a string, found a float",
        ),
        ("annotations.atom = true", ":7: command.annotations.atom: expected a string or a table, found a boolean"),
        ("main_args = 1979-05-27", ":7: command.main_args: expected a string, found a date"),
        ("[package]\nname = []", ":8: package.name: expected a string, found an array"),
        ("[package]\nentrypoint = {}", ":8: package.entrypoint: expected a string, found a table"),
        ("[fs]\n'/a' = 3", ":8: fs.\"/a\": expected a string or a table, found an integer"),
        ("[[fs]]\na = 'a'", ":7: fs: expected a table, found an array"),
        ("[[module]]\nname = 1", ":8: module.name: expected a string, found an integer"),
        // Unusable values.
        (
            "runner = 'emscripten'",
            ":7: command.runner: unknown runner \"emscripten\", only \"wcgi\" and \"wasi\" can run here",
        ),
        (
            "[command.annotations.wcgi]\n\ndialect = 'rfc-9999'",
            ":9: command.annotations.wcgi.dialect: unknown dialect \"rfc-9999\", the only one is \"rfc-3875\"",
        ),
        (
            "[command.annotations.wasi]\nenv = [\n'A=1',\n'B',\n]",
            ":10: command.annotations.wasi.env: \"B\" is not `NAME=VALUE`",
        ),
        ("annotations.wcgi.env = ['=1']", ":7: command.annotations.wcgi.env: \"=1\" has no name before `=`"),
        ("annotations.wcgi.env = [\"A=\\u0000\"]", ":7: command.annotations.wcgi.env: contains a NUL"),
        ("annotations.wasi.main-args = [\"\\u0000\"]", ":7: command.annotations.wasi.main-args: contains a NUL"),
        ("annotations.wasi.exec-name = \"\\u0000\"", ":7: command.annotations.wasi.exec-name: contains a NUL"),
        ("annotations.wasi.cwd = '/..'", ":7: command.annotations.wasi.cwd: guest path \"/..\" contains `..`"),
        // Sites.
        ("annotations.wcgi.site = { root = '/' }", ":7: command.annotations.wcgi.site.scripts: missing"),
        ("[command.annotations.wcgi.site]\nscripts = []", ":7: command.annotations.wcgi.site.root: missing"),
        ("annotations.wcgi.site = '/app'", ":7: command.annotations.wcgi.site: expected a table, found a string"),
        (
            "[command.annotations.wcgi.site]\nroot = '../app'\nscripts = []",
            ":8: command.annotations.wcgi.site.root: guest path \"../app\" contains `..`",
        ),
        (
            "[command.annotations.wcgi.site]\nroot = '/app'\nscripts = ['.cgi',\n'php']",
            ":10: command.annotations.wcgi.site.scripts: \"php\" is no extension, which is a dot and a name, as \".php\"",
        ),
        (
            "[command.annotations.wcgi.site]\nroot = '/app'\nscripts = '.php'",
            ":9: command.annotations.wcgi.site.scripts: expected an array of strings, found a string",
        ),
        (
            "[command.annotations.wcgi.site]\nroot = '/app'\nscripts = ['.php']\nindex = ['a/index.php']",
            ":10: command.annotations.wcgi.site.index: \"a/index.php\" is not the name of a file, as \"index.php\"",
        ),
        (
            "[command.annotations.wcgi.site]\nroot = '/app'\nscripts = ['.php']\nfallback = 'index.php'",
            ":10: command.annotations.wcgi.site.fallback: \"index.php\" is no path from the site's root, as \"/index.php\"",
        ),
        (
            "[command.annotations.wcgi.site]\nroot = '/app'\nscripts = ['.php']\ndeny = ['/a', '']",
            ":10: command.annotations.wcgi.site.deny: \"\" is not a pattern, as \"/private/*\" or \"*.sql\"",
        ),
        ("package = 'other/php'", ":7: command.package: no dependency \"other/php\": there are no [dependencies]"),
        ("[[command]]\nmodule = 'm'", ":7: command.name: missing"),
        ("[[command]]\nname = 'c'", ":8: command.name: a second command \"c\""),
        ("[[module]]\nname = 'm'", ":8: module.name: a second module \"m\""),
        // Mounts.
        ("[fs]\n'../x' = 'x'", ":8: fs.\"../x\": guest path \"../x\" contains `..`"),
        ("[fs]\n'' = 'x'", ":8: fs.\"\": guest path \"\" is empty"),
        ("[fs]\n'app' = 'a'\n'/app/' = 'b'", ":9: fs.\"/app/\": /app is mounted twice"),
        ("[fs]\napp = ''", ":8: fs.app: is empty"),
        ("[fs]\napp = \"a\\u0000\"", ":8: fs.app: contains a NUL"),
        ("[fs]\napp = { mode = 'rw' }", ":8: fs.app.path: missing"),
        (
            "[fs]\n[fs.app]\npath = 'x'\nmode = 'w'",
            ":10: fs.app.mode: unknown mode \"w\", the modes are \"ro\" and \"rw\"",
        ),
        // Not TOML.
        ("[fs]\napp = ", ":8: not TOML: string values must be quoted, expected literal string"),
        ("name = 'again'", ":7: not TOML: duplicate key"),
    ] {
        assert_eq!(scene.error(&format!("{BASE}{added}\n")), format!("wasmer.toml{expected}"), "{added}");
    }
}

#[test]
fn a_module_that_cannot_be_had_is_named() {
    let scene = Scene::new();
    let command = "[[command]]\nname = 'c'\nmodule = 'm'\n";
    let two = "[[module]]\nname = 'a'\nsource = 'x'\n[[module]]\nname = 'b'\nsource = 'x'\n";
    for (manifest, expected) in [
        ("", ": no commands".to_owned()),
        (two, ": no commands".to_owned()),
        (command, ":3: command.module: no module \"m\", the package has no [[module]]".to_owned()),
        ("[[command]]\nname = 'c'\n", ":1: command.module: missing, and the package has no [[module]]".to_owned()),
        (&format!("{two}{command}"), ":9: command.module: no module \"m\" among \"a\", \"b\"".to_owned()),
        (
            &format!("{two}[[command]]\nname = 'c'\n"),
            ":7: command.module: missing, the modules are \"a\", \"b\"".to_owned(),
        ),
        (
            "[[module]]\nname = 'm'\n[[command]]\nname = 'c'\nmodule = 'm'\n",
            ":1: module.source: missing in module \"m\"".to_owned(),
        ),
        (
            &format!("[[module]]\nname = 'm'\nsource = 'target'\n{command}"),
            ":3: module.source: target is a directory".to_owned(),
        ),
        (&format!("[[module]]\nname = 'm'\nsource = ''\n{command}"), ":3: module.source: is empty".to_owned()),
    ] {
        assert_eq!(scene.error(manifest), format!("wasmer.toml{expected}"), "{manifest}");
    }

    let (message, error) = scene.error_as(&format!("[[module]]\nname = 'm'\nsource = 'no.wasm'\n{command}"), None);
    assert_eq!(message, "wasmer.toml:3: module.source: no file no.wasm");
    assert!(error.hint().unwrap().contains("build the module first"), "{error:?}");
    assert!(error.source().is_some());

    let dependency = BASE.replace("module = \"m\"", "module = \"php:php\"");
    let (message, error) = scene.error_as(&dependency, None);
    assert_eq!(message, "wasmer.toml:6: command.module: no dependency \"php\": there are no [dependencies]");
    assert!(error.hint().unwrap().contains("[dependencies]"), "{error:?}");
}

#[test]
fn a_source_may_be_outside_of_the_package() {
    let scene = Scene::new();
    let package = scene.0.path().join("package");
    fs::create_dir(&package).unwrap();
    fs::write(package.join("wasmer.toml"), BASE.replace("server.wasm", "../server.wasm")).unwrap();
    let package = package::open(&package, None, &Dependencies::default()).unwrap();
    let found = fs::canonicalize(module_file(&package)).unwrap();
    assert_eq!(found, fs::canonicalize(scene.0.path().join("server.wasm")).unwrap());
    assert!(package.warnings.is_empty());
}

#[test]
fn what_is_not_text_is_named_with_its_line() {
    let scene = Scene::new();
    fs::write(scene.0.path().join("wasmer.toml"), b"[package]\nname = '\xff'\n").unwrap();
    let error = package::open(scene.0.path(), None, &Dependencies::default()).unwrap_err();
    assert_eq!(scene.short(&error.to_string()), "wasmer.toml:2: not TOML: not UTF-8");
}

#[test]
fn lines_are_counted_whatever_ends_them() {
    let scene = Scene::new();
    let manifest = format!("{BASE}runner = 1\n").replace('\n', "\r\n");
    assert_eq!(scene.error(&manifest), "wasmer.toml:7: command.runner: expected a string, found an integer");
    let manifest = format!("\u{feff}{BASE}runner = 1");
    assert_eq!(scene.error(&manifest), "wasmer.toml:7: command.runner: expected a string, found an integer");
}

#[test]
fn deep_nesting_is_an_error_or_nothing() {
    for manifest in [
        format!("a = {}", "[".repeat(5_000)),
        format!("a = {}1{}", "[".repeat(5_000), "]".repeat(5_000)),
        format!("a = {}", "{ a = ".repeat(5_000)),
        format!("{}a = 1", "a.".repeat(5_000)),
    ] {
        // Neither way may it panic or exhaust the stack.
        let _ = Scene::new().open_as(&manifest, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_text_is_a_package_or_an_error(text in r#"([a-z\[\]{}="'.,\n #\\u0-9=]|\PC){0,200}"#) {
        let document = Document::from_toml("wasmer.toml".to_owned(), &text);
        let _ = document.and_then(|document| read_alone(&document));
    }

    #[test]
    fn any_change_of_a_manifest_is_a_package_or_an_error(at in 0..600_usize, removed in 0..12_usize, added in r#"[\[\]{}="'.,\n#a-z0-9é\x00]{0,6}"#) {
        for manifest in [RUST_TEMPLATE, PHP_TEMPLATE] {
            let mut text: Vec<char> = manifest.chars().collect();
            let start = at.min(text.len());
            let end = (start + removed).min(text.len());
            text.splice(start..end, added.chars());
            let text: String = text.into_iter().collect();
            let read = Document::from_toml("wasmer.toml".to_owned(), &text)
                .and_then(|document| read_alone(&document));
            if let Err(error) = read {
                assert_eq!(error.to_string().lines().count(), 1, "{error}");
                assert!(error.to_string().starts_with("wasmer.toml:"), "{error}");
            }
        }
    }
}
