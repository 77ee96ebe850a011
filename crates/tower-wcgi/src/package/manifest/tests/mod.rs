//! Manifests as they are in the wild, what each mistake is answered with, and text that is no manifest at all.

mod mistakes;

use std::error::Error as _;

use proptest::prelude::{ProptestConfig, proptest};
use tempfile::TempDir;

use super::*;
use crate::connection::TrustedProxies;
use crate::error::ErrorKind;
use crate::package;
use crate::package::command::Snapshot;
use crate::package::{Dependencies, Front};

/// Reads a manifest that lies nowhere.
fn read_alone(document: &Document) -> Result<Package, Error> {
    let (none, nowhere) = (Dependencies::default(), Path::new(""));
    let opener = |_: &Path, _: Asked<'_>, _: &Scope<'_>| Err(refuse("no dependency is opened here".to_owned()));
    read(document, nowhere, Asked::Command(None), &Scope::new(&none, nowhere, opener))
}

/// A package directory with the modules that the manifests here name.
struct Scene(TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        for module in ["server.wasm", "php-cgi.wasm", "target/wasm32-wasi/release/wcgi-rust-template.wasm"] {
            let path = scene.0.path().join(module);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "\0asm").unwrap();
        }
        scene
    }

    fn open_as(&self, manifest: &str, command: Option<&str>) -> Result<Package, Error> {
        fs::write(self.0.path().join("wasmer.toml"), manifest).unwrap();
        package::open(self.0.path(), command, &Dependencies::default())
    }

    fn open(&self, manifest: &str) -> Package {
        self.open_as(manifest, None).unwrap_or_else(|error| panic!("{error:?} in\n{manifest}"))
    }

    /// A message without the directory, which is another one each time.
    fn short(&self, message: &str) -> String {
        message.replace(&format!("{}/", self.0.path().display()), "")
    }

    fn error_as(&self, manifest: &str, command: Option<&str>) -> (String, Error) {
        let error = self.open_as(manifest, command).err().unwrap_or_else(|| panic!("no error in\n{manifest}"));
        assert_eq!(error.kind(), ErrorKind::Package);
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
        (self.short(&error.to_string()), error)
    }

    fn error(&self, manifest: &str) -> String {
        self.error_as(manifest, None).0
    }

    fn warnings(&self, package: &Package) -> Vec<String> {
        package.warnings.iter().map(|warning| self.short(warning)).collect()
    }

    fn mounts(&self, package: &Package) -> Vec<(String, String, Access)> {
        let host = |mount: &Mount| mount.host.strip_prefix(self.0.path()).unwrap_or(&mount.host).display().to_string();
        package.mounts.iter().map(|mount| (mount.guest.clone(), host(mount), mount.access)).collect()
    }
}

fn module_file(package: &Package) -> &Path {
    match &package.module {
        Module::File(path) => path,
        Module::Bytes(_) => panic!("a manifest's module is a file"),
    }
}

fn pairs(env: &[(String, String)]) -> Vec<String> {
    env.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// The announcement's Rust package, with the table headers its page has lost.
const RUST_TEMPLATE: &str = r#"[package]
name = "wasmer/wcgi-rust-template"
version = "0.1.0"
description = "A template for WCGI applications"
license = "MIT OR Apache-2.0"
readme = ""
repository = ""

[[module]]
name = "server"
source = "target/wasm32-wasi/release/wcgi-rust-template.wasm"
abi = "wasi"

[[command]]
name = "server"
runner = "wcgi"
module = "wcgi"
annotations = { wcgi = { dialect = "rfc-3875" } }
"#;

/// The announcement's PHP package, with the table headers its page has lost.
const PHP_TEMPLATE: &str = r#"[package]
name = "wasmer/wcgi-php-template"
version = "0.1.0"
description = "A PHP template for WCGI applications"
license = "MIT OR Apache-2.0"
readme = ""
repository = ""

[[module]]
name = "php"
source = "php-cgi.wasm"
abi = "wasi"

[[command]]
name = "php"
runner = "wcgi"
module = "php"

[command.annotations.wcgi]
dialect = "rfc-3875"

[command.annotations.wasi]
atom = "php"
env = ["DOCUMENT_ROOT=/app", "SCRIPT_FILENAME=/app/index.php"]

[fs]
"app" = "app"
"#;

/// A manifest to which each error below adds its mistake; the additions begin on line 7.
const BASE: &str = "[[module]]
name = \"m\"
source = \"server.wasm\"
[[command]]
name = \"c\"
module = \"m\"
";

#[test]
fn the_announcements_rust_package_runs() {
    let scene = Scene::new();
    let package = scene.open(RUST_TEMPLATE);
    let module = scene.0.path().join("target/wasm32-wasi/release/wcgi-rust-template.wasm");
    assert_eq!(package.name, "wasmer/wcgi-rust-template");
    assert_eq!(module_file(&package), module);
    assert_eq!(package.module_label, module.display().to_string());
    assert_eq!(package.arguments, ["server"]);
    assert!(package.env.is_empty() && package.mounts.is_empty() && package.cwd.is_none());
    assert_eq!(
        scene.warnings(&package),
        [r#"wasmer.toml:17: command.module: no module "wcgi", using the only one, "server""#]
    );
}

#[test]
fn the_announcements_php_package_runs() {
    let scene = Scene::new();
    let package = scene.open(PHP_TEMPLATE);
    assert_eq!(package.name, "wasmer/wcgi-php-template");
    assert_eq!(module_file(&package), scene.0.path().join("php-cgi.wasm"));
    assert_eq!(package.arguments, ["php"]);
    assert_eq!(pairs(&package.env), ["DOCUMENT_ROOT=/app", "SCRIPT_FILENAME=/app/index.php"]);
    assert_eq!(scene.mounts(&package), [("/app".to_owned(), "app".to_owned(), Access::ReadOnly)]);
    assert!(package.warnings.is_empty(), "{:?}", package.warnings);
}

#[test]
fn a_wapm_toml_of_the_first_days_runs() {
    let scene = Scene::new();
    let manifest = r#"
[package]
name = "me/cowsay"
version = "0.2.0"
description = "says moo"
license-file = "LICENSE"
wasmer-extra-flags = "--enable-threads"
disable-command-rename = true
[dependencies]
"other/thing" = "1"
[module]
name = "cowsay"
source = "server.wasm"
abi = "wasi"
kind = "wasm"
hash = { sha256 = "00" }
[module.interfaces]
wasi = "0.0.0-unstable"
[module.bindings]
wit-exports = "x.wit"
wit-bindgen = "0.1.0"
[[command]]
name = "cowsay"
module = "cowsay"
main_args = "-f  tux"
"#;
    fs::write(scene.0.path().join("wapm.toml"), manifest).unwrap();
    let package = package::open(scene.0.path(), None, &Dependencies::default()).unwrap();
    assert_eq!(package.arguments, ["cowsay", "-f", "tux"]);
    let ignored = "wapm.toml:10: dependencies.\"other/thing\": a version names no registry, ignored";
    assert_eq!(scene.warnings(&package), [ignored]);

    // The newer name wins.
    assert_eq!(scene.open(PHP_TEMPLATE).name, "wasmer/wcgi-php-template");
}

#[test]
fn the_path_may_be_that_of_the_manifest() {
    let scene = Scene::new();
    let file = scene.0.path().join("other.toml");
    fs::write(&file, PHP_TEMPLATE).unwrap();
    assert_eq!(
        module_file(&package::open(&file, None, &Dependencies::default()).unwrap()),
        scene.0.path().join("php-cgi.wasm")
    );
}

#[test]
fn annotations_are_read_wherever_they_were_put() {
    let everything = [
        // Two tables.
        "[command.annotations.wcgi]\ndialect = 'rfc-3875'\n[command.annotations.wasi]\natom = 'm'\nenv = ['A=1']\n\
         main-args = ['-x', 'y z']\ncwd = 'app/'\nexec-name = 'php-cgi'\n",
        // All in the `wcgi` table, other spelling.
        "[command.annotations.wcgi]\ndialect = 'rfc-3875'\natom = 'm'\nenv = ['A=1']\nmain_args = ['-x', 'y z']\n\
         cwd = '/app'\nexec_name = 'php-cgi'\n",
        // One inline table with both, and one without either.
        "annotations = { wcgi = { dialect = 'rfc-3875' }, wasi = { atom = 'm', env = ['A=1'], \
         main-args = ['-x', 'y z'], cwd = '/app', exec-name = 'php-cgi' } }\n",
        "annotations = { dialect = 'rfc-3875', atom = 'm', env = ['A=1'], main-args = ['-x', 'y z'], cwd = '/app', \
         exec-name = 'php-cgi' }\n",
        // Dotted keys.
        "annotations.wcgi.dialect = 'rfc-3875'\nannotations.wasi.env = ['A=1']\nannotations.wasi.cwd = '/app'\n\
         annotations.wasi.exec-name = 'php-cgi'\nannotations.wasi.main-args = ['-x', 'y z']\n",
    ];
    let scene = Scene::new();
    for annotations in everything {
        for base in [BASE.to_owned(), BASE.replace("module = \"m\"", "runner = \"wcgi\"")] {
            let package = scene.open(&format!("{base}{annotations}"));
            assert_eq!(package.arguments, ["php-cgi", "-x", "y z"], "{annotations}");
            assert_eq!(pairs(&package.env), ["A=1"], "{annotations}");
            assert_eq!(package.cwd.as_deref(), Some("/app"), "{annotations}");
        }
    }
}

#[test]
fn the_older_name_of_the_dialect_is_a_warning() {
    let scene = Scene::new();
    for annotations in ["annotations.wcgi.dialect = 'wcgi'\n", "annotations.dialect = 'wcgi'\n"] {
        let package = scene.open(&format!("{BASE}{annotations}"));
        let warnings = scene.warnings(&package);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].ends_with("dialect: \"wcgi\" is an older name of \"rfc-3875\", which is used"),
            "{warnings:?}"
        );
    }
}

#[test]
fn what_is_in_front_of_the_package() {
    let scene = Scene::new();
    let package = scene.open(&format!(
        "{BASE}[command.annotations.wcgi]\nhttps = true\npass_authorization = true\n\
         trusted_proxies = ['10.0.0.0/8', '::1']\n"
    ));
    assert!(package.warnings.is_empty(), "{:?}", package.warnings);
    let front = &package.front;
    assert_eq!((front.https, front.pass_authorization), (Some(true), Some(true)));
    assert_eq!(front.trusted_proxies, TrustedProxies::new(["10.0.0.0/8", "::1"]).ok());
    assert_eq!(scene.open(BASE).front, Front::default());
    let error = scene.error(&format!("{BASE}[command.annotations.wcgi]\ntrusted_proxies = ['localhost']\n"));
    assert!(
        error.contains(":8: command.annotations.wcgi.trusted_proxies: `localhost` is neither an address"),
        "{error}"
    );
}

#[test]
fn what_the_script_may_connect_to() {
    let scene = Scene::new();
    let network = |connect: &str| format!("{BASE}[command.annotations.wcgi.network]\nconnect = {connect}\n");
    let package = scene.open(&network("['db:3306', '*.Example.com:443', 'x:1=unix:/run/x.sock']"));
    assert!(package.warnings.is_empty(), "{:?}", package.warnings);
    let rules: Vec<_> = package.connect.iter().map(ToString::to_string).collect();
    assert_eq!(rules, ["db:3306", "*.example.com:443", "x:1=unix:/run/x.sock"]);
    assert!(package.asks.is_empty(), "a directory grants what it lists");
    for (connect, why) in [
        ("['db']", "\"db\" has no port"),
        ("['db:0']", "\"0\" is no port"),
        ("'db:1'", "expected an array of strings"),
        ("[1]", "expected a string"),
    ] {
        let error = scene.error(&network(connect));
        assert!(error.contains(":8: command.annotations.wcgi.network.connect: "), "{error}");
        assert!(error.contains(why), "{error}");
    }
    let package = scene.open(&format!("{BASE}[command.annotations.wcgi.network]\nlisten = ['x:1']\n"));
    assert!(matches!(package.warnings.as_slice(), [only] if only.contains("network.listen")), "{:?}", package.warnings);
}

#[test]
fn environments_are_merged_and_the_last_value_counts() {
    let package = Scene::new().open(&format!(
        "{BASE}[command.annotations.wcgi]\nenv = ['B=wcgi', 'C=', 'D=a=b']\n\
         [command.annotations.wasi]\nenv = ['A=1', 'B=wasi', 'A=2']\n"
    ));
    assert_eq!(pairs(&package.env), ["A=2", "B=wcgi", "C=", "D=a=b"]);
}

#[test]
fn the_module_is_found_as_far_as_it_can_be() {
    let one = "[[module]]\nname = 'one'\nsource = 'server.wasm'\n";
    let two = "[[module]]\nname = 'one'\nsource = 'server.wasm'\n[[module]]\nname = 'two'\nsource = 'php-cgi.wasm'\n";
    let scene = Scene::new();
    for (modules, command, file, warning) in [
        (two, "module = 'two'", "php-cgi.wasm", None),
        (two, "annotations.wasi.atom = 'two'", "php-cgi.wasm", None),
        (two, "annotations.wcgi.atom = 'two'", "php-cgi.wasm", None),
        (
            two,
            "module = 'two'\nannotations.wasi.atom = 'one'",
            "php-cgi.wasm",
            Some(":10: command.annotations.wasi.atom: \"one\" differs from the command's module \"two\", which counts"),
        ),
        (one, "", "server.wasm", Some(":4: command.module: missing, using the only module, \"one\"")),
        (
            one,
            "annotations.wasi.atom = 'x'",
            "server.wasm",
            Some(":6: command.annotations.wasi.atom: no module \"x\", using the only one, \"one\""),
        ),
    ] {
        let package = scene.open(&format!("{modules}[[command]]\nname = 'c'\n{command}\n"));
        assert_eq!(module_file(&package), scene.0.path().join(file), "{command}");
        let expected: Vec<String> = warning.into_iter().map(|warning| format!("wasmer.toml{warning}")).collect();
        assert_eq!(scene.warnings(&package), expected, "{command}");
    }
}

#[test]
fn the_command_is_picked_by_what_is_said_and_else_by_its_runner() {
    let module = "[[module]]\nname = 'm'\nsource = 'server.wasm'\n";
    let command =
        |name: &str, runner: &str| format!("[[command]]\nname = '{name}'\nmodule = 'm'\nrunner = '{runner}'\n");
    let web = |name: &str| command(name, "https://webc.org/runner/wcgi");
    let scene = Scene::new();
    for (package, commands, asked, expected) in [
        ("", [web("a"), command("b", "wasi"), command("c", "emscripten")].concat(), None, "a"),
        ("", [web("a"), command("b", "wasi")].concat(), Some("b"), "b"),
        ("", command("a", "https://webc.org/runner/wasi"), None, "a"),
        ("", "[[command]]\nname = 'old'\nmodule = 'm'\n".to_owned(), None, "old"),
        ("", "[command]\nname = 'single'\nmodule = 'm'\n".to_owned(), None, "single"),
        ("[package]\nentrypoint = 'b'\n", [web("a"), web("b")].concat(), None, "b"),
        ("[package]\nentrypoint = 'b'\n", [web("a"), web("b")].concat(), Some("a"), "a"),
    ] {
        let opened = scene.open_as(&format!("{package}{module}{commands}"), asked).unwrap();
        assert_eq!(opened.arguments, [expected]);
    }

    let both = [module, &web("a"), &web("b")].concat();
    let (message, error) = scene.error_as(&both, None);
    assert_eq!(message, r#"wasmer.toml: which command? choose one of "a", "b""#);
    assert!(error.hint().unwrap().contains("--command NAME"));
    assert_eq!(scene.error_as(&both, Some("x")).0, r#"wasmer.toml: no command "x" among "a", "b""#);
    let entrypoint = format!("[package]\nentrypoint = 'x'\n{both}");
    assert_eq!(scene.error(&entrypoint), r#"wasmer.toml:2: package.entrypoint: no command "x" among "a", "b""#);
}

#[test]
fn a_module_without_a_command_is_run_by_its_name() {
    let scene = Scene::new();
    let module = "[[module]]\nname = 'm'\nsource = 'server.wasm'\n";
    let package = scene.open(module);
    assert_eq!(package.arguments, ["m"]);
    assert_eq!(package.name, scene.0.path().file_name().unwrap().to_str().unwrap());
    let expected = "wasmer.toml:2: module.name: no [[command]] in the manifest, running its only module";
    assert_eq!(scene.warnings(&package), [expected]);
    assert_eq!(scene.error_as(module, Some("x")).0, r#"wasmer.toml: no command "x" among "m""#);
}

#[test]
fn mounts_are_read_only_unless_the_manifest_says_otherwise() {
    let scene = Scene::new();
    let manifest = "[fs]\napp = 'app'\n'/db/' = { path = 'db', mode = 'rw' }\n'./app/lib' = { path = '../lib' }\n\
                    '/' = { path = '.', mode = 'ro' }\n'/etc' = '/srv/etc'\n";
    let package = scene.open(&format!("{BASE}{manifest}"));
    let mount = |guest: &str, host: &str, access| (guest.to_owned(), host.to_owned(), access);
    assert_eq!(
        scene.mounts(&package),
        [
            mount("/app/lib", "../lib", Access::ReadOnly),
            mount("/app", "app", Access::ReadOnly),
            mount("/etc", "/srv/etc", Access::ReadOnly),
            mount("/db", "db", Access::ReadWrite),
            mount("/", "", Access::ReadOnly),
        ]
    );
    assert_eq!(
        scene.warnings(&package),
        [
            r#"wasmer.toml:10: fs."./app/lib".path: "../lib" is outside of the package"#,
            r#"wasmer.toml:12: fs."/etc": "/srv/etc" is outside of the package"#,
        ]
    );
}

#[test]
fn unknown_keys_are_warnings() {
    let scene = Scene::new();
    let manifest = format!(
        "colour = 'red'\n[package]\nnmae = 'x'\n{BASE}speed = 1\n[command.annotations]\nfoo = 1\n\
         [command.annotations.wasi]\nenvs = []\n[command.annotations.wcgi]\n'odd key' = 1\n\
         [command.annotations.wcgi.snapshot]\ncoolup = []\n[fs]\n'/a' = {{ path = 'a', access = 'rw' }}\n"
    );
    assert_eq!(
        scene.warnings(&scene.open(&manifest)),
        [
            "wasmer.toml:1: unknown key colour, ignored",
            "wasmer.toml:3: unknown key package.nmae, ignored",
            "wasmer.toml:10: unknown key command.speed, ignored",
            "wasmer.toml:12: unknown key command.annotations.foo, ignored",
            "wasmer.toml:14: unknown key command.annotations.wasi.envs, ignored",
            "wasmer.toml:16: unknown key command.annotations.wcgi.\"odd key\", ignored",
            "wasmer.toml:18: unknown key command.annotations.wcgi.snapshot.coolup, ignored",
            "wasmer.toml:20: unknown key fs.\"/a\".access, ignored",
        ]
    );
}

#[test]
fn a_snapshot_is_taken_unless_the_manifest_says_otherwise() {
    let scene = Scene::new();
    let annotations = |text: &str| format!("{BASE}[command.annotations.wcgi.snapshot]\n{text}");
    let snapshot = |text: &str| scene.open(&annotations(text)).snapshot;
    assert_eq!(scene.open(BASE).snapshot, Snapshot::default());
    assert_eq!(snapshot(""), Snapshot::default());
    assert!(!snapshot("enabled = false").enabled);
    let all = snapshot("enabled = true\nreseeds = true\nenv = ['A=1', 'B=x=y', 'A=2']\nwarmup = ['/', 'GET /a?b=%20']");
    let env = [("A", "2"), ("B", "x=y")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let warmup = vec!["/".to_owned(), "/a?b=%20".to_owned()];
    assert_eq!(all, Snapshot { enabled: true, reseeds: true, env: env.to_vec(), warmup, mounts: None });
}
