//! Files of both versions as the crate's own writers make them, then the same files cut, flipped and forged.

use std::path::PathBuf;

use ::webc::metadata::Command;
use ::webc::metadata::annotations::{
    Atom as AtomAnnotation, FileSystemMapping, FileSystemMappings, WCGI_RUNNER_URI, Wasi, Wcgi,
};
use ::webc::{v2, v3};
use proptest::prelude::{ProptestConfig, any, proptest};

use super::*;
use crate::error::ErrorKind;
use crate::mount;
use crate::package::{self, Dependencies};

/// A `.webc` in the making: one volume of files, whose names may have directories in them, and links.
struct Scene {
    directory: tempfile::TempDir,
    manifest: Manifest,
    atoms: Vec<&'static str>,
    volume: &'static str,
    files: Vec<(&'static str, &'static str)>,
    links: Vec<(&'static str, &'static str)>,
    checksums: bool,
}

impl Scene {
    /// The announcement's PHP package, as `wasmer package build` makes it but for the mappings.
    fn new() -> Self {
        let mut wasi = Wasi::new("php");
        wasi.with_env("DOCUMENT_ROOT", "/app").with_env("SCRIPT_FILENAME", "/app/index.php");
        wasi.main_args = Some(vec!["-q".to_owned()]);
        wasi.cwd = Some(PathBuf::from("/app"));
        wasi.exec_name = Some("php-cgi".to_owned());
        let mut wcgi = Wcgi::default();
        wcgi.dialect = Some("rfc-3875".to_owned());
        let mut manifest = Manifest::default();
        let mut php = command(WCGI_RUNNER_URI, AtomAnnotation::new("php", None));
        php.annotations.insert("wasi".to_owned(), Annotation::serialized(&wasi).unwrap());
        php.annotations.insert("wcgi".to_owned(), Annotation::serialized(&wcgi).unwrap());
        manifest.commands.insert("php".to_owned(), php);
        let wapm = ::webc::metadata::annotations::Wapm::new(Some("wasmer/php".to_owned()), None, None);
        manifest.package.insert("wapm".to_owned(), Annotation::serialized(&wapm).unwrap());
        Self {
            directory: tempfile::tempdir().unwrap(),
            manifest,
            atoms: vec!["php"],
            volume: "atom",
            files: vec![("app/index.php", "<?php hello();"), ("app/lib/a.php", "<?php a();"), ("app/empty", "")],
            links: Vec::new(),
            checksums: true,
        }
    }

    fn mapped(mut self, volume: &str, host_path: Option<&str>, mount_path: &str) -> Self {
        let mapping = FileSystemMapping {
            from: None,
            volume_name: volume.to_owned(),
            host_path: host_path.map(str::to_owned),
            mount_path: mount_path.to_owned(),
        };
        let mut mappings = self.manifest.filesystem().unwrap().unwrap_or_default();
        mappings.0.push(mapping);
        self.manifest.package.insert("fs".to_owned(), Annotation::serialized(&mappings).unwrap());
        self
    }

    fn v2(&self) -> Vec<u8> {
        fn directory(files: &[(&str, &'static str)]) -> v2::write::Directory<'static> {
            let mut here = v2::write::Directory::default();
            for (name, below) in children(files) {
                let entry = match below {
                    Child::File(content) => v2::write::FileEntry::Borrowed(content.as_bytes()).into(),
                    Child::Directory(below) => directory(&below).into(),
                };
                here.children.insert(name.parse().unwrap(), entry);
            }
            here
        }
        assert!(self.links.is_empty());
        let checksums = if self.checksums { v2::ChecksumAlgorithm::Sha256 } else { v2::ChecksumAlgorithm::None };
        let atom = |name: &&'static str| (name.parse().unwrap(), v2::write::FileEntry::Borrowed(name.as_bytes()));
        let writer = v2::write::Writer::new(checksums).write_manifest(&self.manifest).unwrap();
        let writer = writer.write_atoms(self.atoms.iter().map(atom).collect()).unwrap();
        let writer = writer.with_volume(self.volume, directory(&self.files)).unwrap();
        writer.finish(v2::SignatureAlgorithm::None).unwrap().to_vec()
    }

    fn v3(&self) -> Vec<u8> {
        fn directory(files: &[(&str, &'static str)], links: &[(&str, &'static str)]) -> v3::write::Directory<'static> {
            let at = v3::Timestamps::default;
            let mut here = v3::write::Directory::default();
            for (name, below) in children(files) {
                let entry = match below {
                    Child::File(content) => v3::write::FileEntry::borrowed(content.as_bytes(), at()).into(),
                    Child::Directory(below) => {
                        let links: Vec<_> =
                            links.iter().filter_map(|(path, to)| Some((in_directory(path, name)?, *to))).collect();
                        directory(&below, &links).into()
                    }
                };
                here.children.insert(name.parse().unwrap(), entry);
            }
            for (name, to) in links.iter().filter(|(path, _)| !path.contains('/')) {
                here.children.insert(name.parse().unwrap(), v3::write::SymlinkEntry::borrowed(to, at()).into());
            }
            here
        }
        let checksums = if self.checksums { v3::ChecksumAlgorithm::Sha256 } else { v3::ChecksumAlgorithm::None };
        let at = v3::Timestamps::default();
        let atom = |name: &&'static str| (name.parse().unwrap(), v3::write::FileEntry::borrowed(name.as_bytes(), at));
        let writer = v3::write::Writer::new(checksums).write_manifest(&self.manifest).unwrap();
        let writer = writer.write_atoms(self.atoms.iter().map(atom).collect()).unwrap();
        let writer = writer.with_volume(self.volume, directory(&self.files, &self.links)).unwrap();
        writer.finish(v3::SignatureAlgorithm::None).unwrap().to_vec()
    }

    fn open_as(&self, bytes: &[u8], command: Option<&str>) -> Result<Package, Error> {
        let path = self.directory.path().join("x.webc");
        fs::write(&path, bytes).unwrap();
        let opened = package::open(&path, command, &package::Dependencies::default());
        if let Err(error) = &opened {
            assert_eq!(error.kind(), ErrorKind::Package);
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
        opened
    }

    fn open(&self, bytes: &[u8]) -> Package {
        self.open_as(bytes, None).unwrap()
    }

    /// The error without its directory.
    fn error(&self, bytes: &[u8]) -> String {
        let error = self.open_as(bytes, None).expect_err("no error").to_string();
        error.replace(&format!("{}/", self.directory.path().display()), "")
    }
}

enum Child<'a> {
    File(&'static str),
    Directory(Vec<(&'a str, &'static str)>),
}

fn children<'a>(files: &[(&'a str, &'static str)]) -> BTreeMap<&'a str, Child<'a>> {
    let mut children = BTreeMap::new();
    for (path, content) in files {
        match path.split_once('/') {
            None => drop(children.insert(*path, Child::File(content))),
            Some((directory, _)) => {
                let below = files.iter().filter_map(|(path, content)| Some((in_directory(path, directory)?, *content)));
                children.insert(directory, Child::Directory(below.collect()));
            }
        }
    }
    children
}

fn in_directory<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    path.strip_prefix(directory)?.strip_prefix('/')
}

fn command(runner: &str, atom: AtomAnnotation) -> Command {
    let annotations = [("atom".to_owned(), Annotation::serialized(&atom).unwrap())].into_iter().collect();
    Command { runner: runner.to_owned(), annotations }
}

fn module_bytes(package: &Package) -> &[u8] {
    match &package.module {
        Module::Bytes(bytes) => bytes,
        Module::File(_) => panic!("a .webc has its module in it"),
    }
}

fn read(package: &Package, guest: &str, file: &str) -> String {
    let mount = package.mounts.iter().find(|mount| mount.guest == guest).expect("the mount is there");
    assert_eq!(mount.access, Access::ReadOnly);
    fs::read_to_string(mount.host.join(file)).unwrap()
}

/// Replaces bytes that are there exactly once.
fn forge(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let found: Vec<_> = bytes.windows(from.len()).enumerate().filter(|(_, window)| *window == from).collect();
    assert_eq!(found.len(), 1, "{}", from.escape_ascii());
    let at = found[0].0;
    bytes[at..at + to.len()].copy_from_slice(to);
}

#[test]
fn both_versions_are_opened_with_everything_in_them() {
    let v2 = Scene::new().mapped("atom", Some("/app"), "/app").mapped("atom", Some("/app/lib"), "lib");
    let mut v3 = Scene::new().mapped("/app", None, "/srv");
    v3.volume = "/app";
    for (scene, bytes, mounts) in [(&v2, v2.v2(), ["/app", "/lib"].as_slice()), (&v3, v3.v3(), &["/srv"])] {
        let package = scene.open(&bytes);
        assert_eq!(package.name, "wasmer/php");
        assert_eq!(module_bytes(&package), b"php");
        let file = scene.directory.path().join("x.webc");
        assert_eq!(package.module_label, format!("atom \"php\" of {}", file.display()));
        assert_eq!(package.arguments, ["php-cgi", "-q"]);
        let env = [("DOCUMENT_ROOT", "/app"), ("SCRIPT_FILENAME", "/app/index.php")];
        assert_eq!(package.env, env.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(package.cwd.as_deref(), Some("/app"));
        assert_eq!(package.mounts.iter().map(|mount| mount.guest.as_str()).collect::<Vec<_>>(), mounts);
        assert!(package.warnings.is_empty(), "{:?}", package.warnings);
        mount::check(&package.mounts).unwrap();
    }
    let package = v2.open(&v2.v2());
    assert_eq!(read(&package, "/app", "index.php"), "<?php hello();");
    assert_eq!(read(&package, "/app", "empty"), "");
    assert_eq!(read(&package, "/lib", "a.php"), "<?php a();");
    let package = v3.open(&v3.v3());
    assert_eq!(read(&package, "/srv", "app/lib/a.php"), "<?php a();");

    let unpacked = package.unpacked.as_ref().unwrap().path().to_owned();
    assert!(unpacked.is_dir());
    drop(package);
    assert!(!unpacked.exists(), "what was unpacked goes with the package");
}

#[test]
fn a_file_is_known_by_its_first_bytes() {
    let scene = Scene::new();
    let path = scene.directory.path().join("renamed");
    fs::write(&path, scene.v3()).unwrap();
    assert_eq!(package::open(&path, None, &package::Dependencies::default()).unwrap().name, "wasmer/php");
}

#[test]
fn without_mappings_only_version_2_mounts_its_volume() {
    let scene = Scene::new();
    let package = scene.open(&scene.v2());
    assert_eq!(read(&package, "/", "app/index.php"), "<?php hello();");
    let package = scene.open(&scene.v3());
    assert!(package.mounts.is_empty() && package.unpacked.is_none());

    let mut scene = Scene::new();
    let none = Annotation::serialized(&FileSystemMappings::default()).unwrap();
    scene.manifest.package.insert("fs".to_owned(), none);
    assert!(scene.open(&scene.v2()).mounts.is_empty(), "an empty table of mappings means none");
}

#[test]
fn the_command_is_picked_as_in_a_manifest() {
    let mut scene = Scene::new();
    scene.atoms.push("tool");
    let tool = command("https://webc.org/runner/wasi@unstable_", AtomAnnotation::new("tool", None));
    scene.manifest.commands.insert("tool".to_owned(), tool);
    for bytes in [scene.v2(), scene.v3()] {
        assert_eq!(module_bytes(&scene.open(&bytes)), b"php");
        let package = scene.open_as(&bytes, Some("tool")).unwrap();
        assert_eq!((module_bytes(&package), package.arguments.as_slice()), (&b"tool"[..], &["tool".to_owned()][..]));
        let error = scene.open_as(&bytes, Some("x")).unwrap_err().to_string();
        assert!(error.ends_with("x.webc: no command \"x\" among \"php\", \"tool\""), "{error}");
    }
    scene.manifest.entrypoint = Some("tool".to_owned());
    assert_eq!(module_bytes(&scene.open(&scene.v3())), b"tool");
    scene.manifest.entrypoint = Some("gone".to_owned());
    assert_eq!(scene.error(&scene.v3()), "x.webc: entrypoint: no command \"gone\" among \"php\", \"tool\"");
}

#[test]
fn older_files_name_their_atom_in_the_annotations_of_the_runner_or_nowhere() {
    for keys in [&["atom"][..], &["atom", "wasi"]] {
        let mut scene = Scene::new();
        for key in keys {
            scene.manifest.commands.get_mut("php").unwrap().annotations.shift_remove(*key);
        }
        assert_eq!(module_bytes(&scene.open(&scene.v2())), b"php");
    }
}

#[test]
fn what_cannot_be_honoured_is_named() {
    let bytes = |change: &dyn Fn(&mut Manifest)| {
        let mut scene = Scene::new();
        change(&mut scene.manifest);
        scene.error(&scene.v3())
    };
    let set = |manifest: &mut Manifest, key: &str, annotation: Annotation| {
        manifest.commands.get_mut("php").unwrap().annotations.insert(key.to_owned(), annotation);
    };
    let text = |text: &str| Annotation::Text(text.to_owned());
    let table = |key: &str, value: Annotation| Annotation::Map(vec![(Annotation::Text(key.to_owned()), value)]);
    let mapping = |from: Option<&str>, volume: &str, mount: &str| FileSystemMapping {
        from: from.map(str::to_owned),
        volume_name: volume.to_owned(),
        host_path: None,
        mount_path: mount.to_owned(),
    };
    let map = |manifest: &mut Manifest, mapping: FileSystemMapping| {
        let mappings = Annotation::serialized(&FileSystemMappings(vec![mapping])).unwrap();
        manifest.package.insert("fs".to_owned(), mappings);
    };
    let dependency = "is in a dependency, and a .webc has none here";
    for (error, expected) in [
        (bytes(&|manifest| manifest.commands.clear()), "no commands".to_owned()),
        (
            bytes(&|manifest| {
                manifest.commands.get_mut("php").unwrap().runner = "https://webc.org/runner/wasm4".to_owned()
            }),
            "commands.php.runner: unknown runner \"https://webc.org/runner/wasm4\", only wcgi and wasi can run here"
                .to_owned(),
        ),
        (
            bytes(&|manifest| set(manifest, "wcgi", table("dialect", text("x")))),
            "commands.php.annotations.wcgi.dialect: unknown dialect \"x\", the only one is \"rfc-3875\"".to_owned(),
        ),
        (
            bytes(&|manifest| set(manifest, "wasi", table("env", text("A=1")))),
            "commands.php.annotations.wasi.env: expected an array of strings, found a string".to_owned(),
        ),
        (
            bytes(&|manifest| set(manifest, "wasi", Annotation::Bool(true))),
            "commands.php.annotations.wasi: expected a table, found a boolean".to_owned(),
        ),
        (
            bytes(&|manifest| set(manifest, "wcgi", table("site", table("root", text("/app"))))),
            "commands.php.annotations.wcgi.site.scripts: missing".to_owned(),
        ),
        (
            bytes(&|manifest| set(manifest, "atom", table("name", text("gone")))),
            "commands.php.annotations: no atom \"gone\" among \"php\"".to_owned(),
        ),
        (
            bytes(&|manifest| {
                let atom = AtomAnnotation::new("php", Some("other/php".to_owned()));
                set(manifest, "atom", Annotation::serialized(&atom).unwrap());
            }),
            format!("commands.php.annotations.atom.dependency: \"other/php\" {dependency}"),
        ),
        (
            bytes(&|manifest| map(manifest, mapping(Some("other/php"), "atom", "/a"))),
            format!("package.fs.from: \"other/php\" {dependency}"),
        ),
        (
            bytes(&|manifest| map(manifest, mapping(None, "atom", "/a/../.."))),
            "package.fs.mount_path: guest path \"/a/../..\" contains `..`".to_owned(),
        ),
        (
            bytes(&|manifest| map(manifest, mapping(None, "gone", "/a"))),
            "damaged or not a .webc file: no volume \"gone\"".to_owned(),
        ),
        (
            bytes(&|manifest| {
                map(manifest, FileSystemMapping { host_path: Some("/x".to_owned()), ..mapping(None, "atom", "/a") })
            }),
            "damaged or not a .webc file: no directory \"/x\" in volume \"atom\"".to_owned(),
        ),
        (
            bytes(&|manifest| {
                map(manifest, FileSystemMapping { host_path: Some("../..".to_owned()), ..mapping(None, "atom", "/a") })
            }),
            "package.fs.host_path: guest path \"../..\" contains `..`".to_owned(),
        ),
    ] {
        assert_eq!(error, format!("x.webc: {expected}"));
    }
}

#[test]
fn other_versions_are_refused() {
    let scene = Scene::new();
    for (start, expected) in [
        (&b"\0webc001"[..], "version 001 of the .webc format is not supported, only 002 and 003 are"),
        (b"\0webc004", "version 004 of the .webc format is not supported, only 002 and 003 are"),
        (b"\0webc", "damaged or not a .webc file: failed to fill whole buffer"),
        (b"", "damaged or not a .webc file: failed to fill whole buffer"),
    ] {
        assert_eq!(scene.error(start), format!("x.webc: {expected}"));
    }
    assert!(scene.error(b"GIF89a..").starts_with("x.webc: damaged or not a .webc file: Expected the magic bytes"));
}

#[test]
fn a_file_does_not_ask_for_credentials() {
    let mut scene = Scene::new();
    let annotations = &mut scene.manifest.commands.get_mut("php").unwrap().annotations;
    let asked = vec![(Annotation::Text("pass_authorization".to_owned()), Annotation::Bool(true))];
    annotations.insert("wcgi".to_owned(), Annotation::Map(asked));
    let package = scene.open(&scene.v3());
    assert_eq!(package.front, Front::default());
    assert!(
        matches!(package.warnings.as_slice(), [only] if only.contains("pass_authorization")),
        "{:?}",
        package.warnings
    );
}

#[test]
fn a_file_asks_for_connections_and_gets_none() {
    let mut scene = Scene::new();
    let text = |text: &str| Annotation::Text(text.to_owned());
    let mut asking = |rules: &[&str]| {
        let rules = Annotation::Array(rules.iter().map(|rule| text(rule)).collect());
        let network = Annotation::Map(vec![(text("connect"), rules)]);
        let annotations = &mut scene.manifest.commands.get_mut("php").unwrap().annotations;
        annotations.insert("wcgi".to_owned(), Annotation::Map(vec![(text("network"), network)]));
        scene.v3()
    };
    let (plain, targeted) = (asking(&["db:3306", "*.example.com:443"]), asking(&["db:3306=127.0.0.1:3306"]));
    let package = scene.open(&plain);
    assert_eq!(package.asks.iter().map(ToString::to_string).collect::<Vec<_>>(), ["db:3306", "*.example.com:443"]);
    assert!(package.connect.is_empty() && package.warnings.is_empty(), "{:?}", package.warnings);
    let error = scene.error(&targeted);
    assert!(error.starts_with("x.webc: network.connect: db:3306=127.0.0.1:3306: "), "{error}");
}

#[cfg(unix)]
#[test]
fn links_are_kept_where_they_stay_inside() {
    let mut scene = Scene::new().mapped("atom", None, "/srv");
    scene.links =
        vec![("app/start.php", "index.php"), ("app/lib/up", "../empty"), ("here", "app"), ("nowhere", "gone")];
    let package = scene.open(&scene.v3());
    assert_eq!(read(&package, "/srv", "app/start.php"), "<?php hello();");
    assert_eq!(read(&package, "/srv", "here/lib/up"), "");
    assert!(fs::symlink_metadata(package.mounts[0].host.join("nowhere")).is_err());
    let expected = "x.webc: the link \"nowhere\" leads nowhere, left out";
    assert!(matches!(package.warnings.as_slice(), [only] if only.ends_with(expected)), "{:?}", package.warnings);
}

#[cfg(unix)]
#[test]
fn links_that_lead_out_are_refused_even_through_each_other() {
    // `app/lib/top` is the volume's root, so `out` is the directory above it, though its text stays inside.
    let mut scene = Scene::new().mapped("atom", None, "/srv");
    scene.links = vec![("app/lib/top", "../.."), ("out", "app/lib/top/..")];
    let expected = "x.webc: damaged or not a .webc file: the link \"out\" leads out of its volume";
    assert_eq!(scene.error(&scene.v3()), expected);

    for (there, target) in [("wxyz", "/etc"), ("stuvwxyz", "../../..")] {
        let mut scene = Scene::new().mapped("atom", None, "/srv");
        scene.checksums = false;
        scene.links = vec![("out", there)];
        let mut bytes = scene.v3();
        forge(&mut bytes, there.as_bytes(), target.as_bytes());
        assert_eq!(scene.error(&bytes), expected);
    }
}

#[test]
fn names_that_are_paths_are_refused() {
    for name in ["..", ".", "x/y", "/etc", "a\0b"] {
        let there: &'static str = ["", "q", "qq", "qqq", "qqqq"][name.len()];
        for version in [Scene::v2, Scene::v3] {
            let mut scene = Scene::new().mapped("atom", Some("/"), "/srv");
            scene.checksums = false;
            scene.files = vec![(there, "content")];
            let mut bytes = version(&scene);
            // The name with its length before it.
            let with_length = |name: &str| [&(name.len() as u64).to_le_bytes()[..], name.as_bytes()].concat();
            forge(&mut bytes, &with_length(there), &with_length(name));
            let error = scene.error(&bytes);
            assert!(error.starts_with("x.webc: damaged or not a .webc file: "), "{name:?}: {error}");
        }
    }
}

#[test]
fn a_directory_that_contains_itself_ends() {
    for version in [Scene::v2, Scene::v3] {
        let hash_bytes = if version(&Scene::new()).starts_with(b"\0webc002") { 0 } else { 32 };
        let mut scene = Scene::new().mapped("atom", Some("/"), "/srv");
        scene.checksums = false;
        scene.files = vec![("loops/x", "")];
        let mut bytes = version(&scene);
        let name = [&5_u64.to_le_bytes()[..], b"loops"].concat();
        let at = bytes.windows(name.len()).position(|window| window == name).unwrap() - hash_bytes - 8;
        bytes[at..at + 8].fill(0);
        let error = scene.error(&bytes);
        let why = ["directories are nested too deeply", "more would come out of it than is in it"];
        assert!(why.iter().any(|why| error.ends_with(why)), "{error}");
    }
}

#[test]
fn a_manifest_that_never_ends_is_an_error() {
    let scene = Scene::new();
    let within_package = |value: &[u8]| [b"\xa1\x67package\xa1\x61x", value].concat();
    for manifest in [
        within_package(&vec![0x81; 100_000]),
        within_package(&vec![0xc1; 100_000]),
        // Arrays, maps, strings and bytes that say they are as long as can be.
        within_package(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff"),
        within_package(b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff"),
        within_package(b"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff"),
        within_package(b"\x5b\x00\x00\x7f\xff\xff\xff\xff\xff"),
    ] {
        let writer = v3::write::Writer::new(v3::ChecksumAlgorithm::None).write_raw_manifest(manifest);
        let bytes = writer.write_atoms(BTreeMap::new()).unwrap().finish(v3::SignatureAlgorithm::None).unwrap();
        assert!(scene.error(&bytes).contains("manifest"), "{}", scene.error(&bytes));
    }
}

#[test]
fn a_cut_file_is_an_error() {
    for version in [Scene::v2, Scene::v3] {
        for checksums in [true, false] {
            let mut scene = Scene::new().mapped("atom", Some("/app"), "/app");
            scene.checksums = checksums;
            let bytes = version(&scene);
            let _whole = scene.open(&bytes);
            for end in (0..bytes.len()).step_by(64).chain(bytes.len() - 8..bytes.len()) {
                scene.error(&bytes[..end]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// With checksums no change gets past them but one to the index; without, whatever the crate makes of it must end.
    #[test]
    fn a_changed_file_is_a_package_or_an_error(at in any::<proptest::sample::Index>(), flip in 1..=255_u8, checksums: bool) {
        for version in [Scene::v2, Scene::v3] {
            let mut scene = Scene::new().mapped("atom", Some("/app"), "/app");
            scene.checksums = checksums;
            let mut bytes = version(&scene);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(package) = scene.open_as(&bytes, None)
                && checksums
            {
                assert_eq!(module_bytes(&package), b"php");
            }
        }
    }

    #[test]
    fn any_bytes_are_an_error(tail in proptest::collection::vec(any::<u8>(), 0..512), version in 1..4_u8) {
        let bytes = [format!("\0webc00{version}").as_bytes(), &tail].concat();
        Scene::new().error(&bytes);
    }
}
