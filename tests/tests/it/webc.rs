//! The announcement's PHP package as a `.webc` file of both versions, run on the real php-cgi.

use std::path::PathBuf;

use http::StatusCode;
use tower_wcgi::WcgiService;
use wcgi_tests::{engine, get, root};
use webc::metadata::annotations::{Atom, FileSystemMapping, FileSystemMappings, WCGI_RUNNER_URI, Wasi, Wcgi};
use webc::metadata::{Annotation, Command, Manifest};
use webc::{v2, v3};

const PAGE: &[u8] = b"<?php echo 'webc ', 6 * 7, ' ', json_encode(@file_put_contents('/app/index.php', 'x'));";

fn manifest() -> Manifest {
    let mut wasi = Wasi::new("php");
    wasi.with_env("DOCUMENT_ROOT", "/app").with_env("SCRIPT_FILENAME", "/app/index.php");
    let mut wcgi = Wcgi::default();
    wcgi.dialect = Some("rfc-3875".to_owned());
    let mapping = FileSystemMapping {
        from: None,
        volume_name: "/app".to_owned(),
        host_path: Some("/".to_owned()),
        mount_path: "/app".to_owned(),
    };
    let annotations = [
        ("atom", Annotation::serialized(&Atom::new("php", None)).unwrap()),
        ("wasi", Annotation::serialized(&wasi).unwrap()),
        ("wcgi", Annotation::serialized(&wcgi).unwrap()),
    ];
    let annotations = annotations.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut manifest = Manifest::default();
    manifest.commands.insert("php".to_owned(), Command { runner: WCGI_RUNNER_URI.to_owned(), annotations });
    let mappings = Annotation::serialized(&FileSystemMappings(vec![mapping])).unwrap();
    manifest.package.insert("fs".to_owned(), mappings);
    manifest
}

fn v2(php: &[u8]) -> Vec<u8> {
    let mut app = v2::write::Directory::default();
    app.children.insert("index.php".parse().unwrap(), v2::write::FileEntry::Borrowed(PAGE).into());
    let writer = v2::write::Writer::new(v2::ChecksumAlgorithm::Sha256).write_manifest(&manifest()).unwrap();
    let atoms = [("php".parse().unwrap(), v2::write::FileEntry::Borrowed(php))];
    let writer = writer.write_atoms(atoms.into_iter().collect()).unwrap().with_volume("/app", app).unwrap();
    writer.finish(v2::SignatureAlgorithm::None).unwrap().to_vec()
}

fn v3(php: &[u8]) -> Vec<u8> {
    let at = v3::Timestamps::default;
    let mut app = v3::write::Directory::default();
    app.children.insert("index.php".parse().unwrap(), v3::write::FileEntry::borrowed(PAGE, at()).into());
    let writer = v3::write::Writer::new(v3::ChecksumAlgorithm::Sha256).write_manifest(&manifest()).unwrap();
    let atoms = [("php".parse().unwrap(), v3::write::FileEntry::borrowed(php, at()))];
    let writer = writer.write_atoms(atoms.into_iter().collect()).unwrap().with_volume("/app", app).unwrap();
    writer.finish(v3::SignatureAlgorithm::None).unwrap().to_vec()
}

#[tokio::test]
async fn a_webc_of_either_version_runs_and_its_volumes_are_read_only() {
    let dir = tempfile::tempdir().unwrap();
    let php = std::fs::read(root().join("examples/php/php-cgi.wasm")).unwrap();
    for (name, bytes) in [("v2", v2(&php)), ("v3", v3(&php))] {
        let path: PathBuf = dir.path().join(name).with_extension("webc");
        std::fs::write(&path, bytes).unwrap();
        let service = WcgiService::builder().package(path).engine(engine().build().unwrap()).build().unwrap();
        let reply = get(&service, "/").await;
        assert_eq!((reply.status, reply.text().as_str()), (StatusCode::OK, "webc 42 false"), "{name}");
    }
}
