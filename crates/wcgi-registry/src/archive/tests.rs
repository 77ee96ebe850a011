//! What goes in comes out, and nothing else gets anywhere.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::*;
use crate::error::{Error, ErrorKind};
use crate::options::Limits;

fn packed(root: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    pack(root, &Limits::default(), &mut bytes)?;
    Ok(bytes)
}

fn unpacked(archive: &[u8], limits: Limits) -> Result<tempfile::TempDir, Error> {
    let root = tempfile::tempdir().unwrap();
    unpack(archive, root.path(), &mut Budget::new(limits))?;
    Ok(root)
}

/// An archive of entries that no decent program writes.
fn archive(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    for (kind, name, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o4777);
        // Written as it is: the crate would refuse such names.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        if is_link {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        let data = if is_link { "" } else { content };
        header.set_size(data.len() as u64);
        header.set_cksum();
        builder.append(&header, data.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

#[test]
fn files_directories_and_links_come_out_as_they_went_in() {
    let root = tempfile::tempdir().unwrap();
    let long = "long".repeat(40);
    fs::create_dir_all(root.path().join("sub/empty")).unwrap();
    fs::write(root.path().join("sub/index.php"), "<?php").unwrap();
    fs::write(root.path().join(&long), "long").unwrap();
    fs::write(root.path().join("run"), "").unwrap();
    fs::set_permissions(root.path().join("run"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("sub/../sub/index.php", root.path().join("link")).unwrap();
    symlink(&long, root.path().join("to-long")).unwrap();

    let unpacked = unpacked(&packed(root.path()).unwrap(), Limits::default()).unwrap();
    let at = |name: &str| unpacked.path().join(name);
    assert_eq!(fs::read(at("sub/index.php")).unwrap(), b"<?php");
    assert_eq!(fs::read(at(&long)).unwrap(), b"long");
    assert_eq!(fs::read(at("to-long")).unwrap(), b"long");
    assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("sub/../sub/index.php"));
    assert!(at("sub/empty").is_dir());
    let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode();
    assert_ne!(mode("run") & 0o100, 0);
    assert_eq!(mode("sub/index.php") & 0o100, 0);
}

#[test]
fn the_same_files_are_the_same_bytes() {
    let [a, b] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    for (root, order, mode) in [(&a, ["x", "y-z", "y"], 0o644), (&b, ["y", "x", "y-z"], 0o600)] {
        for name in order {
            fs::write(root.path().join(name), name).unwrap();
            fs::set_permissions(root.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    let first = packed(a.path()).unwrap();
    assert_eq!(first, packed(b.path()).unwrap());
    fs::write(b.path().join("x"), "z").unwrap();
    assert_ne!(first, packed(b.path()).unwrap());
}

#[test]
fn a_link_that_leads_out_is_not_packed() {
    let outside = tempfile::tempdir().unwrap();
    let root = outside.path().join("top");
    fs::create_dir(&root).unwrap();
    fs::write(outside.path().join("secret"), "").unwrap();
    for target in ["../secret", "/etc/passwd", "../missing", "../top/../secret"] {
        let link = root.join("link");
        symlink(target, &link).unwrap();
        let error = packed(&root).unwrap_err();
        assert!(error.to_string().contains("leads out"), "{target}: {error}");
        fs::remove_file(link).unwrap();
    }
    symlink("missing", root.join("link")).unwrap();
    packed(&root).unwrap();
}

#[test]
fn a_socket_is_not_packed() {
    let root = tempfile::tempdir().unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
    assert!(packed(root.path()).unwrap_err().to_string().contains("neither a file"));
}

#[test]
fn nothing_is_written_outside_and_no_link_leads_there() {
    use EntryType::{Block, Char, Directory, Fifo, GNUSparse, Link, Regular, Symlink};
    for entries in [
        &[(Regular, "../x", "x")][..],
        &[(Regular, "a/../../x", "x")],
        &[(Regular, "/x", "x")],
        &[(Directory, "..", "")],
        &[(Symlink, "l", "/etc")],
        &[(Symlink, "l", "..")],
        &[(Symlink, "l", "")],
        &[(Symlink, "a", "."), (Symlink, "b", "a/..")],
        &[(Symlink, "l", ".."), (Regular, "l/x", "x")],
        &[(Symlink, "l", ".."), (Symlink, "l/x", "y")],
        &[(Link, "l", "../secret")],
        &[(Link, "l", "/etc/passwd")],
        &[(Link, "l", "missing")],
        &[(Symlink, "s", "../secret"), (Link, "l", "s")],
        &[(Regular, "x", "1"), (Regular, "x", "2")],
        &[(Regular, "x", "1"), (Regular, "x/y", "2")],
        &[(Char, "x", "")],
        &[(Block, "x", "")],
        &[(Fifo, "x", "")],
        &[(GNUSparse, "x", "")],
    ] {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("secret"), "secret").unwrap();
        let root = parent.path().join("root");
        fs::create_dir(&root).unwrap();
        let error = unpack(&archive(entries)[..], &root, &mut Budget::new(Limits::default())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Content, "{entries:?}: {error}");
        let beside: Vec<_> = fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(beside.len(), 2, "{entries:?}: {beside:?}");
        assert_eq!(fs::read(parent.path().join("secret")).unwrap(), b"secret");
    }
}

#[test]
fn set_user_id_and_dangling_links_do_not_come_out() {
    let archive = archive(&[(EntryType::Regular, "x", "x"), (EntryType::Symlink, "l", "missing")]);
    let root = tempfile::tempdir().unwrap();
    let nowhere = unpack(&archive[..], root.path(), &mut Budget::new(Limits::default())).unwrap();
    assert_eq!(nowhere, [Path::new("l")]);
    assert_eq!(fs::metadata(root.path().join("x")).unwrap().permissions().mode() & 0o7022, 0);
}

#[test]
fn hard_links_within_the_archive_are_kept() {
    let archive = archive(&[(EntryType::Regular, "x", "x"), (EntryType::Link, "y", "x")]);
    assert_eq!(fs::read(unpacked(&archive, Limits::default()).unwrap().path().join("y")).unwrap(), b"x");
}

#[test]
fn a_bomb_ends_at_the_limit() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let mut header = Header::new_gnu();
    let size = 64 << 20;
    header.set_path("bomb").unwrap();
    header.set_size(size);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).unwrap();
    io::copy(&mut io::Read::take(io::repeat(0), size), &mut encoder).unwrap();
    let archive = encoder.finish().unwrap();
    assert!(archive.len() < 1 << 20);
    let error = unpacked(&archive, Limits::default().package_bytes(1 << 20)).unwrap_err();
    assert_eq!((error.kind(), error.hint()), (ErrorKind::Limit, Some("--max-package raises the limit")));

    let many: Vec<_> = (0..100).map(|n| format!("f{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (EntryType::Regular, name.as_str(), "")).collect();
    let error = unpacked(&super::tests::archive(&many), Limits::default().files(99)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
}

#[test]
fn a_name_without_end_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(64 << 20);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).unwrap();
    io::copy(&mut io::Read::take(io::repeat(b'a'), 64 << 20), &mut encoder).unwrap();
    let error = unpacked(&encoder.finish().unwrap(), Limits::default()).unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
}

#[test]
fn a_window_above_the_limit_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(24).unwrap();
    let mut builder = Builder::new(encoder);
    let mut header = Header::new_gnu();
    header.set_size(17 << 20);
    builder.append_data(&mut header, "x", io::Read::take(io::repeat(0), 17 << 20)).unwrap();
    let archive = builder.into_inner().unwrap().finish().unwrap();
    unpacked(&archive, Limits::default()).unwrap();
    let error = unpacked(&archive, Limits::default().window_bytes(1 << 20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Content);
}

#[test]
fn what_is_cut_off_or_no_archive_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("x"), vec![7; 10_000]).unwrap();
    let whole = packed(root.path()).unwrap();
    for archive in [&whole[..whole.len() / 2], b"", b"no archive", &[0; 1000]] {
        assert_eq!(unpacked(archive, Limits::default()).unwrap_err().kind(), ErrorKind::Content);
    }
}
