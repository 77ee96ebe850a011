//! What a script sees of the host's files.

use std::fs;

use tower_wcgi::{Access, ErrorKind};
use wcgi_tests::{are_components, builder, get, post};

#[tokio::test]
async fn edits_on_the_host_show_on_the_next_request() {
    let dir = tempfile::tempdir().unwrap();
    let service = builder("files").map_dir("/d", dir.path(), Access::ReadOnly).build().unwrap();
    for content in ["one", "two, longer", "3"] {
        fs::write(dir.path().join("a"), content).unwrap();
        let text = get(&service, "/?op=read&path=/d/a").await.text();
        assert!(text.contains(content), "{text}");
    }
    fs::remove_file(dir.path().join("a")).unwrap();
    assert!(get(&service, "/?op=read&path=/d/a").await.text().contains("ENOENT"));
}

/// As a deployment does it: the directory is another one under the same name.
#[tokio::test]
async fn a_directory_that_was_replaced_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let site = dir.path().join("site");
    fs::create_dir(&site).unwrap();
    fs::write(site.join("a"), "old").unwrap();
    let service = builder("files").map_dir("/d", &site, Access::ReadOnly).build().unwrap();
    assert!(get(&service, "/?op=read&path=/d/a").await.text().contains("old"));
    fs::rename(&site, dir.path().join("before")).unwrap();
    fs::create_dir(&site).unwrap();
    fs::write(site.join("a"), "new").unwrap();
    assert!(get(&service, "/?op=read&path=/d/a").await.text().contains("new"));
    fs::remove_dir_all(&site).unwrap();
    assert_eq!(get(&service, "/?op=read&path=/d/a").await.status, 500);
}

#[tokio::test]
async fn read_only_mounts_refuse_every_kind_of_write() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "kept").unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    let service = builder("files").map_dir("/d", dir.path(), Access::ReadOnly).build().unwrap();
    let before = fs::metadata(dir.path().join("a")).unwrap().modified().unwrap();
    let operations = [
        "op=write&path=/d/a&data=x",
        "op=create&path=/d/b&data=x",
        "op=append&path=/d/a&data=x",
        "op=mkdir&path=/d/c",
        "op=rmdir&path=/d/sub",
        "op=unlink&path=/d/a",
        "op=rename&path=/d/a&to=/d/b",
        "op=rename&path=/d/a&to=/tmp/b",
        "op=rename&path=/tmp/x&to=/d/x",
        "op=link&path=/d/a&to=/d/b",
        "op=symlink&path=a&to=/d/b",
        "op=settimes&path=/d/a&time=1",
        "op=settimes&path=/d&time=1",
        "op=truncate&path=/d/a&size=0",
    ];
    for operation in operations {
        let text = get(&service, &format!("/?op=write&path=/tmp/x&data=x&{operation}")).await.text();
        let last = text.lines().last().unwrap();
        assert!(!last.contains(": ok"), "{operation}: {text}");
    }
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"kept");
    assert_eq!(fs::metadata(dir.path().join("a")).unwrap().modified().unwrap(), before);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    assert!(get(&service, "/?op=read&path=/d/a").await.text().contains("kept"));
}

#[cfg(unix)]
#[tokio::test]
async fn symlinks_out_of_a_mount_are_refused_in_both_spellings() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), "topsecret").unwrap();
    fs::write(dir.path().join("inside"), "public").unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), dir.path().join("file")).unwrap();
    std::os::unix::fs::symlink("inside", dir.path().join("near")).unwrap();
    let service = builder("files").map_dir("/d", dir.path(), Access::ReadWrite).build().unwrap();
    for path in ["out", "out/", "out/secret", "file", "file/", "./out/../out/secret", "../secret", "out/."] {
        for op in ["read", "list", "stat", "write", "mkdir"] {
            let text = get(&service, &format!("/?op={op}&path=/d/{path}&data=x")).await.text();
            assert!(!text.contains(": ok") && !text.contains("topsecret"), "{op} {path}: {text}");
        }
    }
    assert!(get(&service, "/?op=read&path=/d/near").await.text().contains("public"));
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"topsecret");
    // A link the script makes itself leads nowhere either.
    let target = outside.path().join("secret");
    let made = format!("/?op=symlink&path={}&to=/d/made&op=read&path=/d/made", target.display());
    assert!(!get(&service, &made).await.text().contains("topsecret"));
}

#[tokio::test]
async fn the_private_tmp_is_gone_after_the_exchange_even_without_a_trace_in_it() {
    let service = builder("files").build().unwrap();
    get(&service, "/?op=mkdir&path=/tmp/a&op=write&path=/tmp/a/b&data=x").await;
    assert!(get(&service, "/?op=list&path=/tmp").await.text().contains("ok 0"));
    // A message in the directory's own time.
    get(&service, "/?op=settimes&path=/tmp&time=1000000000").await;
    assert!(!get(&service, "/?op=stat&path=/tmp").await.text().contains("1000000000"));
    get(&service, "/?op=write&path=/tmp/a&data=x&op=unlink&path=/tmp/a").await;
    assert!(get(&service, "/?op=list&path=/tmp").await.text().contains("ok 0"));
}

#[test]
fn a_missing_host_directory_is_an_error_that_names_it() {
    let error = builder("files").map_dir("/d", "/no/such/dir", Access::ReadOnly).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Package);
    assert!(error.to_string().contains("/no/such/dir"), "{error}");
}

#[tokio::test]
async fn the_longest_guest_path_wins() {
    let (outer, inner) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(outer.path().join("sub")).unwrap();
    fs::write(outer.path().join("sub/a"), "outer").unwrap();
    fs::write(inner.path().join("a"), "inner").unwrap();
    let service = builder("files").map_dir("/d", outer.path(), Access::ReadOnly);
    let service = service.map_dir("/d/sub", inner.path(), Access::ReadOnly).build().unwrap();
    assert!(get(&service, "/?op=read&path=/d/sub/a").await.text().contains("inner"));
}

/// Nobody writes into the pipe, so opening it would hold a thread of the engine for good.
#[cfg(unix)]
#[tokio::test]
async fn what_would_make_its_reader_wait_is_not_opened() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    for pipe in ["pipe", "sub/pipe"] {
        mknodat(CWD, dir.path().join(pipe), FileType::Fifo, Mode::RUSR, 0).unwrap();
    }
    std::os::unix::fs::symlink("pipe", dir.path().join("link")).unwrap();
    let service = builder("files").map_dir("/d", dir.path(), Access::ReadWrite).build().unwrap();
    for path in ["/d/pipe", "/d/sub/pipe", "/d/link", "/d/sub/../pipe"] {
        let text = get(&service, &format!("/?op=read&path={path}&op=append&path={path}&data=x")).await.text();
        assert_eq!(text, format!("read {path}: ENOTSUP\nappend {path}: ENOTSUP\n"));
    }
    // What is outside of the mount is refused in the same words, whatever it is.
    std::os::unix::fs::symlink("/dev/null", dir.path().join("device")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("file")).unwrap();
    let outside = async |path: &str| get(&service, &format!("/?op=read&path=/d/{path}")).await.text().replace(path, "");
    assert_eq!(outside("device").await, outside("file").await);
}

#[tokio::test]
async fn a_large_directory_is_listed_whole() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..5000).map(|n| format!("a-file-with-a-name-of-some-length-{n:05}")).collect();
    for name in &names {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let service = builder("files").map_dir("/d", dir.path(), Access::ReadOnly).build().unwrap();
    let text = get(&service, "/?op=list&path=/d").await.text();
    assert!(text.lines().skip(1).eq(&names), "{} lines", text.lines().count());
}

#[tokio::test]
async fn a_script_cannot_take_all_descriptors_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), "").unwrap();
    let service = builder("turns").map_dir("/d", dir.path(), Access::ReadOnly).build().unwrap();
    let text = post(&service, "/", "open 0 /d/f r\nclose 0\nmany 1000 /d/f\n").await.text();
    // What makes a component of the program has room for fewer; see `native` for one without it.
    let most = if are_components() { "ok 123\n" } else { "ok 256\n" };
    assert!(text.ends_with(most), "{text}");
}

#[tokio::test]
async fn a_path_and_the_open_file_are_told_alike() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join("sub/a"), "four").unwrap();
    fs::hard_link(dir.path().join("sub/a"), dir.path().join("b")).unwrap();
    std::os::unix::fs::symlink("sub/a", dir.path().join("inner")).unwrap();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("outer")).unwrap();
    let service = builder("files").map_dir("/d", dir.path(), Access::ReadOnly).build().unwrap();
    for path in ["/d", "/d/", "/d/sub", "/d/sub/a", "/d/sub/../b", "/d/./b", "/d/inner", "/tmp"] {
        let text = get(&service, &format!("/?op=same&path={path}")).await.text();
        assert_eq!(text, format!("same {path}: ok\n"));
    }
    let modified = fs::metadata(dir.path().join("b")).unwrap().modified().unwrap();
    let seconds = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (path, expected) in [
        ("stat&path=/d/inner", format!("ok file 4 {seconds}")),
        ("lstat&path=/d/inner", "ok symlink 5 ".to_owned()),
        ("stat&path=/d/outer/b", "EPERM".to_owned()),
        ("stat&path=/d/missing", "ENOENT".to_owned()),
        ("stat&path=/d/missing/x", "ENOENT".to_owned()),
        ("stat&path=/d/b/x", "ENOTDIR".to_owned()),
        ("stat&path=/d/b/", "ENOTDIR".to_owned()),
        ("stat&path=/d/../etc/passwd", "EPERM".to_owned()),
    ] {
        let text = get(&service, &format!("/?op={path}")).await.text();
        let (_, said) = text.split_once(": ").unwrap();
        assert!(said.starts_with(&expected), "{text}");
    }
}

/// Whatever is old, unpacked or uploaded may have such a name.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_name_that_is_not_utf8_hides_no_other() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    for below in [dir.path().to_owned(), dir.path().join("sub")] {
        for name in [&b"one"[..], b"two", b"caf\xe9.txt", b"\xff", "\u{e9}t\u{e9}".as_bytes()] {
            fs::write(below.join(OsStr::from_bytes(name)), "content").unwrap();
        }
        fs::create_dir(below.join(OsStr::from_bytes(b"d\xe9"))).unwrap();
    }
    let service = builder("files").map_dir("/d", dir.path(), Access::ReadWrite).build().unwrap();
    let listed = "ok 3\none\ntwo\n\u{e9}t\u{e9}\n";
    assert_eq!(get(&service, "/?op=list&path=/d/sub").await.text(), format!("list /d/sub: {listed}"));
    let text = get(&service, "/?op=list&path=/d&op=list&path=/d").await.text();
    let with_sub = listed.replace("ok 3", "ok 4").replace("two", "sub/\ntwo");
    assert_eq!(text, format!("list /d: {with_sub}list /d: {with_sub}"));
    // What is listed is what it is.
    assert_eq!(get(&service, "/?op=same&path=/d/one").await.text(), "same /d/one: ok\n");
    // One so large that it takes several parts.
    for n in 0..1000 {
        fs::write(dir.path().join(format!("sub/many-name-so-that-it-takes-several-parts-{n:04}")), "").unwrap();
    }
    let text = get(&service, "/?op=list&path=/d/sub").await.text();
    assert_eq!(text.lines().filter(|line| line.starts_with("many-")).count(), 1000);
}

fn said(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split_once(": ").map_or(line, |(_, said)| said)).collect()
}

/// All files of `/tmp` have so much together, and what goes gives its room back.
#[tokio::test]
async fn the_private_tmp_has_only_so_much_room() {
    let service = builder("files").max_tmp(1000).build().unwrap();
    let tenth = "x".repeat(100);
    for (operations, expected) in [
        // By writing, one file after the other.
        (
            format!("op=write&path=/tmp/a&data={0}{0}{0}{0}{0}&op=write&path=/tmp/b&data={0}{0}{0}{0}{0}", tenth),
            &["ok", "ok"][..],
        ),
        (
            format!("op=truncate&path=/tmp/a&size=1&op=write&path=/tmp/a&data={tenth}&op=truncate&path=/tmp/a&size=901")
                + format!("&op=write&path=/tmp/b&data={tenth}&op=unlink&path=/tmp/a&op=write&path=/tmp/b&data={tenth}")
                    .as_str(),
            &["ENOENT", "ok", "ok", "ENOSPC", "ok", "ok"],
        ),
        // By a length, by appending, by holes.
        (
            "op=write&path=/tmp/a&op=truncate&path=/tmp/a&size=1001&op=truncate&path=/tmp/a&size=1000".to_owned()
                + "&op=append&path=/tmp/a&data=x&op=truncate&path=/tmp/a&size=999&op=append&path=/tmp/a&data=x"
                + "&op=append&path=/tmp/b&data=x",
            &["ok", "ENOSPC", "ok", "ENOSPC", "ok", "ok 1000", "ENOSPC"],
        ),
        // What is written over is no more than before, and what is replaced has gone.
        (
            "op=write&path=/tmp/a&op=truncate&path=/tmp/a&size=900&op=write&path=/tmp/b&data=x".to_owned()
                + "&op=rename&path=/tmp/b&to=/tmp/a&op=write&path=/tmp/c&op=truncate&path=/tmp/c&size=999"
                + "&op=append&path=/tmp/a&data=x",
            &["ok", "ok", "ok", "ok", "ok", "ok", "ENOSPC"],
        ),
        // Below it, and under two names.
        (
            "op=mkdir&path=/tmp/d&op=write&path=/tmp/d/a&op=truncate&path=/tmp/d/a&size=1000&op=link&path=/tmp/d/a&to=/tmp/b"
                .to_owned()
                + "&op=unlink&path=/tmp/d/a&op=append&path=/tmp/c&data=x&op=unlink&path=/tmp/b&op=append&path=/tmp/c&data=x",
            &["ok", "ok", "ok", "ok", "ok", "ENOSPC", "ok", "ok 1"],
        ),
    ] {
        let reply = get(&service, &format!("/?{operations}")).await;
        assert_eq!(said(&reply.text()), expected, "{operations}");
    }
}

/// It is like a file system of its own.
#[tokio::test]
async fn nothing_is_moved_into_tmp() {
    let dir = tempfile::Builder::new().tempdir().unwrap();
    let service = builder("files").map_dir("/d", dir.path(), Access::ReadWrite).max_tmp(1000).build().unwrap();
    fs::write(dir.path().join("a"), [0; 900]).unwrap();
    let text =
        get(&service, "/?op=rename&path=/d/a&to=/tmp/a&op=link&path=/d/a&to=/tmp/a&op=write&path=/tmp/b").await.text();
    assert_eq!(said(&text), ["EXDEV", "EXDEV", "ok"], "{text}");
    // A mount has no limit, so what is in `/tmp` may go there.
    let text =
        get(&service, "/?op=write&path=/tmp/b&data=x&op=rename&path=/tmp/b&to=/d/b&op=truncate&path=/d/b&size=2000");
    let text = text.await.text();
    assert_eq!(said(&text), ["ok", "ok", "ok"], "{text}");
    assert_eq!(fs::read(dir.path().join("b")).unwrap().len(), 2000);
}

/// All requests together have so much room in a mount, and what is there already counts.
#[tokio::test]
async fn a_mount_with_a_quota_has_only_so_much_room() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("old"), [0; 500]).unwrap();
    let service = builder("files").map_dir("/d", dir.path(), Access::ReadWrite).quota("d/", 1000).build().unwrap();
    let tenth = "x".repeat(100);
    for (operations, expected) in [
        (
            "op=write&path=/d/a&op=truncate&path=/d/a&size=501&op=truncate&path=/d/a&size=400".to_owned(),
            &["ok", "ENOSPC", "ok"][..],
        ),
        (format!("op=append&path=/d/b&data={tenth}&op=append&path=/d/b&data=x"), &["ok 100", "ENOSPC"]),
        // What replaces nothing needs room, what is written over needs none.
        (
            format!("op=write&path=/d/a&data={tenth}&op=append&path=/d/a&data={tenth}{tenth}{tenth}{tenth}"),
            &["ok", "ENOSPC"],
        ),
        // Private files do not count here, and cannot come in.
        (
            "op=write&path=/tmp/a&op=truncate&path=/tmp/a&size=5000&op=rename&path=/tmp/a&to=/d/c".to_owned(),
            &["ok", "ok", "EXDEV"],
        ),
        (format!("op=unlink&path=/d/old&op=append&path=/d/b&data={tenth}"), &["ok", "ok 200"]),
        (
            "op=mkdir&path=/d/e&op=rename&path=/d/a&to=/d/e/a&op=truncate&path=/d/e/a&size=801".to_owned(),
            &["ok", "ok", "ENOSPC"],
        ),
        ("op=truncate&path=/d/e/a&size=800&op=append&path=/d/e/a&data=x".to_owned(), &["ok", "ENOSPC"]),
    ] {
        let reply = get(&service, &format!("/?{operations}")).await;
        assert_eq!(said(&reply.text()), expected, "{operations}");
    }
    // Others may free room too.
    fs::remove_file(dir.path().join("b")).unwrap();
    assert_eq!(said(&get(&service, "/?op=append&path=/d/e/a&data=x").await.text()), ["ok 801"]);
}

/// Its file has no name any more, and takes room until it is closed.
#[tokio::test]
async fn what_others_hold_open_counts() {
    let dir = tempfile::tempdir().unwrap();
    let service = builder("files").map_dir("/d", dir.path(), Access::ReadWrite).quota("/d", 1000).build().unwrap();
    let reply =
        "/?op=hold&path=/d/a&size=900&op=unlink&path=/d/a&op=hold&path=/d/b&size=101&op=hold&path=/d/b&size=100";
    assert_eq!(said(&get(&service, reply).await.text()), ["ok", "ok", "ENOSPC", "ok"]);
    assert_eq!(said(&get(&service, "/?op=hold&path=/d/b&size=1000").await.text()), ["ok"]);
}

#[test]
fn a_quota_is_for_a_mount_that_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    for (guest, access, why) in [
        ("/e", Access::ReadWrite, "quota for /e: no directory is mounted there"),
        ("/tmp", Access::ReadWrite, "quota for /tmp: no directory is mounted there"),
        ("/d", Access::ReadOnly, "quota for /d: the mount is read-only"),
    ] {
        let error = builder("files").map_dir("/d", dir.path(), access).quota(guest, 1).build().unwrap_err();
        assert_eq!(error.to_string(), why);
    }
}
