//! Snapshots of start-ups: what a request finds done, what it does not find, and when there is none.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wcgi_tests::{builder, engine, get, guest, service};
use webc::metadata::annotations::{FileSystemMapping, FileSystemMappings, WCGI_RUNNER_URI, Wasi};
use webc::metadata::{Annotation, Command, Manifest};
use webc::v2;

use super::{Scene, contains, warnings_about};
use crate::log;
use tower_wcgi::{Access, WcgiBuilder, WcgiService};

#[tokio::test]
async fn the_start_up_has_run_before_the_first_request_and_runs_in_none() {
    let plain = get(&builder("table").snapshot(false).build().unwrap(), "/").await;
    let service = service("table");
    for _ in 0..3 {
        let reply = get(&service, "/").await;
        assert_eq!(reply.variable("loops").unwrap(), "0", "{}", reply.text());
        assert_eq!(reply.variable("sum"), plain.variable("sum"));
        assert_eq!(reply.variable("requests").unwrap(), "1", "an instance of its own");
    }
}

#[tokio::test]
async fn two_requests_see_their_own_random_numbers_and_time() {
    let service = service("table");
    let since_1970 = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let (mut last_random, mut last_time) = (String::new(), since_1970());
    for _ in 0..3 {
        let reply = get(&service, "/").await;
        let number = |name: &str| reply.variable(name).unwrap().parse::<u128>().unwrap();
        let random = reply.variable("random").unwrap();
        assert_ne!(random, last_random);
        assert!(number("time") > last_time && number("time") < since_1970(), "{}", reply.text());
        assert!(number("monotonic") > 0);
        (last_random, last_time) = (random, number("time"));
    }
}

#[tokio::test]
async fn the_environment_is_the_requests_and_only_the_packages_is_kept() {
    let scene = Scene::new();
    // The start-up has asked for a variable, so libc has read the environment of then.
    let service = scene.builder("env").env("START", "").build().unwrap();
    let reply = get(&service, "/?path=/d/a").await;
    assert_eq!((reply.variable("started").unwrap(), reply.variable("now").unwrap()), (String::new(), "alpha".into()));

    let kept = scene.cached();
    let kept = kept.iter().map(|path| fs::read(path).unwrap()).find(|bytes| contains(bytes, "START=")).unwrap();
    let of_the_host = std::env::vars().filter(|(_, value)| value.len() > 7);
    let secrets: Vec<_> = of_the_host.filter(|(name, value)| contains(&kept, &format!("{name}={value}"))).collect();
    assert!(secrets.is_empty(), "{secrets:?}");
    assert!(!contains(&kept, "QUERY_STRING="), "no request was there");
}

#[tokio::test]
async fn files_of_read_only_mounts_are_seen_and_directories_are_those_of_the_request() {
    let scene = Scene::new();
    fs::write(scene.writable().join("secret"), "of a user").unwrap();
    let service = scene.builder("files").env("START", "file look leave").build().unwrap();
    let reply = get(&service, "/?path=/w/secret").await;
    assert_eq!(reply.variable("kept").unwrap(), "alpha0 entries, write: EPERMok");
    assert_eq!(reply.variable("now").unwrap(), "of a user");

    // libc has looked up all directories in the start-up: their numbers must be those of the request.
    let reply = get(&service, "/?path=/w/new&data=text").await;
    assert_eq!(reply.variable("written").unwrap(), "ok");
    assert_eq!(fs::read_to_string(scene.writable().join("new")).unwrap(), "text");
    assert_eq!(get(&service, "/?path=/tmp/left").await.variable("now").unwrap(), "ENOENT");
    assert_eq!(get(&service, "/?path=/tmp/x&data=y").await.variable("now").unwrap(), "y");
    assert_eq!(get(&service, "/?path=/d/x&data=y").await.variable("written").unwrap(), "EROFS");
    assert!(!scene.writable().join("left").exists());
}

#[tokio::test]
async fn the_same_surroundings_have_the_same_snapshot_and_any_others_have_another() {
    let scene = Scene::new();
    let kept = |builder: WcgiBuilder| {
        let service = builder.env("START", "file").build().unwrap();
        async move { get(&service, "/").await.variable("kept").unwrap() }
    };
    let name = "same";
    assert_eq!(kept(scene.builder(name)).await, "alpha");
    let first = scene.cached();
    assert_eq!(first.len(), 2, "the instrumented module and the snapshot");

    for unseen in ["w/new", "module-beside"] {
        fs::write(scene.0.path().join(unseen), "new").unwrap();
    }
    assert_eq!(kept(scene.builder(name)).await, "alpha");
    assert_eq!(scene.cached(), first);

    // A writable directory below a read-only one, as applications have them.
    let uploads = scene.0.path().join("d/uploads");
    fs::create_dir(&uploads).unwrap();
    for n in 0..2 {
        fs::write(uploads.join("new"), n.to_string()).unwrap();
        assert_eq!(kept(scene.builder(name).map_dir("/d/uploads", &uploads, Access::ReadWrite)).await, "alpha");
        assert_eq!(scene.cached().len(), first.len() + 1);
    }
    fs::remove_dir_all(&uploads).unwrap();
    let first = scene.cached();

    // As long as before, and with the same time.
    scene.write("d/a", "omega");
    assert_eq!(kept(scene.builder(name)).await, "omega");
    let mut count = first.len() + 1;
    assert_eq!(scene.cached().len(), count);

    scene.write("d/deep/b", "");
    let changed: [(&str, WcgiBuilder); 5] = [
        ("a file more", scene.builder(name)),
        ("a variable", scene.builder(name).env("A", "1")),
        ("its value", scene.builder(name).env("A", "2")),
        ("a mount more", scene.builder(name).map_dir("/e", scene.0.path().join("d"), Access::ReadOnly)),
        ("less memory", scene.builder(name).max_memory(64 << 20)),
    ];
    for (what, builder) in changed {
        assert_eq!(kept(builder).await, "omega", "{what}");
        count += 1;
        assert_eq!(scene.cached().len(), count, "{what}");
    }
    // Like `d` before it had a file more.
    let copy = tempfile::tempdir().unwrap();
    scene.write_to(&copy.path().join("a"), "omega");
    for builder in [scene.builder(name), scene.builder(name).map_dir("/d", copy.path(), Access::ReadOnly)] {
        assert_eq!(kept(builder).await, "omega");
        assert_eq!(scene.cached().len(), count, "those of before are still there");
    }
}

#[tokio::test]
async fn a_start_up_that_fails_is_left_out_with_one_warning_that_says_why() {
    log::capture();
    let scene = Scene::new();
    for (start, why) in [
        ("exit", "it exited with 3 instead of returning"),
        ("trap", "it trapped"),
        ("spin", "it had not ended after 50ms"),
        ("bomb", "it needed more memory than its limit"),
        ("open", "it left a file open, which requests could not use"),
        ("random", "depends on random numbers, which would be the same in every request"),
    ] {
        let builder = scene.builder(start).env("START", start).max_memory(16 << 20);
        let deadline = if start == "spin" { Duration::from_millis(50) } else { Duration::from_secs(60) };
        let reply = get(&builder.snapshot_deadline(deadline).build().unwrap(), "/?path=/d/a").await;
        assert_eq!(reply.text(), "started=\nkept=\nnow=alpha\n", "{start}");
        let warnings = warnings_about(&scene.module(start));
        assert!(matches!(&warnings[..], [line] if line.message().contains(why)), "{start}: {warnings:#?}");
    }
}

/// Opening a named pipe waits for somebody to write into it, and no deadline would end that.
#[cfg(unix)]
#[tokio::test]
async fn nothing_is_run_beside_a_named_pipe() {
    log::capture();
    let scene = Scene::new();
    let pipe = scene.0.path().join("d/pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reply = get(&scene.builder("pipe").env("START", "file").build().unwrap(), "/").await;
    assert_eq!(reply.text(), "started=\nkept=\n");
    let warnings = warnings_about(&scene.module("pipe"));
    assert!(matches!(&warnings[..], [line] if line.message().ends_with("d/pipe is neither a file nor a directory")));
}

#[tokio::test]
async fn random_numbers_may_be_used_and_not_kept_and_the_time_is_kept_with_a_word() {
    log::capture();
    let scene = Scene::new();
    let service = scene.builder("coin").env("START", "coin").build().unwrap();
    assert_eq!(get(&service, "/").await.text(), "started=coin\nkept=\n");

    let service = scene.builder("time").env("START", "time").build().unwrap();
    let (first, second) = (get(&service, "/").await, get(&service, "/").await);
    assert_eq!(first.variable("kept").unwrap().len(), 16);
    assert_eq!(first.text(), second.text());
    let about_time = |line: &log::Line| line.message().contains("the snapshot keeps the time at which it was made");
    assert!(log::about("").iter().any(about_time));
}

#[tokio::test]
async fn the_manifest_switches_it_off_has_variables_for_it_and_vouches_for_random_numbers() {
    let scene = Scene::new();
    let text = async |annotations: &str| {
        let manifest = format!(
            "[[module]]\nname = 'm'\nsource = {:?}\n[[command]]\nname = 'm'\nmodule = 'm'\nrunner = 'wcgi'\n\
             [command.annotations.wasi]\nenv = ['START=nothing']\n[command.annotations.wcgi.snapshot]\n{annotations}\n",
            scene.module("manifest")
        );
        fs::write(scene.0.path().join("wasmer.toml"), manifest).unwrap();
        let service = WcgiService::builder().package(scene.0.path()).engine(scene.engine()).build().unwrap();
        get(&service, "/").await.text()
    };
    assert_eq!(text("").await, "started=nothing\nkept=\n");
    assert_eq!(text("enabled = false").await, "started=\nkept=\n");
    assert_eq!(text("env = ['START=coin']").await, "started=coin\nkept=\n");
    assert_eq!(text("env = ['START=random']").await, "started=\nkept=\n");
    let reseeds = text("env = ['START=random']\nreseeds = true").await;
    assert!(reseeds.starts_with("started=random\nkept=") && reseeds.len() > 35, "{reseeds}");
    assert_eq!(text("env = ['START=random']\nreseeds = false").await, "started=\nkept=\n");
}

/// Its files are unpacked anew each time, and must not look changed.
#[tokio::test]
async fn a_webc_finds_its_snapshot_again() {
    let scene = Scene::new();
    let mut wasi = Wasi::new("startup");
    wasi.with_env("START", "file");
    let mut manifest = Manifest::default();
    let annotations = [("wasi".to_owned(), Annotation::serialized(&wasi).unwrap())].into();
    manifest.commands.insert("startup".to_owned(), Command { runner: WCGI_RUNNER_URI.to_owned(), annotations });
    let mapping =
        FileSystemMapping { from: None, volume_name: "d".into(), host_path: Some("/".into()), mount_path: "/d".into() };
    let mappings = Annotation::serialized(&FileSystemMappings(vec![mapping])).unwrap();
    manifest.package.insert("fs".to_owned(), mappings);
    let module = fs::read(guest("startup")).unwrap();
    let mut directory = v2::write::Directory::default();
    directory.children.insert("a".parse().unwrap(), v2::write::FileEntry::Borrowed(b"packed").into());
    let atoms = [("startup".parse().unwrap(), v2::write::FileEntry::Borrowed(&module))].into_iter().collect();
    let writer = v2::write::Writer::new(v2::ChecksumAlgorithm::Sha256).write_manifest(&manifest).unwrap();
    let writer = writer.write_atoms(atoms).unwrap().with_volume("d", directory).unwrap();
    let package = scene.0.path().join("startup.webc");
    fs::write(&package, writer.finish(v2::SignatureAlgorithm::None).unwrap()).unwrap();
    for _ in 0..2 {
        let service = WcgiService::builder().package(&package).engine(scene.engine()).build().unwrap();
        assert_eq!(get(&service, "/").await.text(), "started=file\nkept=packed\n");
        assert_eq!(scene.cached().len(), 2);
    }
}

/// `_start` is the entry point where nothing takes its place, and both spellings of the start-up's name are in use.
#[tokio::test]
async fn both_spellings_and_both_ways_to_go_on() {
    let scene = Scene::new();
    for (n, (initialize, resume, said)) in [
        ("wizer-initialize", "", "started 1 "),
        ("wizer.initialize", "", "started 1 "),
        ("wizer.initialize", "wizer.resume", "resumed 1 "),
        ("wizer_initialize", "wizer.resume", "started 0 "),
    ]
    .into_iter()
    .enumerate()
    {
        let resume = if resume.is_empty() { String::new() } else { format!("(export \"{resume}\" (func $resume))") };
        let module = scene.0.path().join(format!("{n}.wat"));
        fs::write(&module, counting(&format!("(export \"{initialize}\" (func $initialize)) {resume}"))).unwrap();
        let service = WcgiService::builder().package(&module).engine(scene.engine()).build().unwrap();
        assert_eq!(get(&service, "/").await.text(), said, "{initialize}");
        assert_eq!(get(&service, "/").await.text(), said, "each request begins with the same memory");
    }
}

#[tokio::test]
async fn modules_that_wizer_cannot_take_run_as_they_are() {
    log::capture();
    let scene = Scene::new();
    for (name, more) in [
        ("parameter", r#"(func (export "wizer-initialize") (param i32))"#),
        ("result", r#"(func (export "wizer-initialize") (result i32) i32.const 0)"#),
        ("resume", r#"(export "wizer-initialize" (func $initialize)) (func (export "wizer.resume") (param i32))"#),
        (
            "table",
            r#"(export "wizer-initialize" (func $initialize)) (table $t 1 funcref)
                     (func (table.set $t (i32.const 0) (ref.null func)))"#,
        ),
        ("reference", r#"(export "wizer-initialize" (func $initialize)) (global (mut funcref) (ref.null func))"#),
        ("taken", r#"(export "wizer-initialize" (func $initialize)) (export "__wizer_memory_0" (func $initialize))"#),
        ("recursion", r#"(func $r (export "wizer-initialize") call $r)"#),
    ] {
        let module = scene.0.path().join(name).with_extension("wat");
        fs::write(&module, counting(more)).unwrap();
        let service = WcgiService::builder().package(&module).engine(scene.engine()).build().unwrap();
        assert_eq!(get(&service, "/").await.text(), "started 0 ", "{name}");
        let warnings = warnings_about(&module);
        assert!(
            matches!(&warnings[..], [line] if line.message().contains("without a snapshot")),
            "{name}: {warnings:#?}"
        );
    }
}

/// A module that says whether it was started or resumed, and how often it was initialised before.
fn counting(more: &str) -> String {
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "Content-Type: text/plain\n\nstarted 0 ")
  (data (i32.const 0) "\40\00\00\00\24\00\00\00")
  (func $initialize (i32.store8 (i32.const 98) (i32.add (i32.load8_u (i32.const 98)) (i32.const 1))))
  (func $say (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $resume (i32.store16 (i32.const 90) (i32.const 0x6572)) (i32.store (i32.const 92) (i32.const 0x656d7573))
    call $say)
  (func (export "_start") call $say)
  {more})"#
    )
}

/// Nobody else is there then.
#[tokio::test]
async fn a_start_up_gets_every_lock_it_asks_for() {
    let dir = tempfile::tempdir().unwrap();
    let module = dir.path().join("locking.wat");
    fs::write(&module, LOCKING).unwrap();
    let service = WcgiService::builder().package(&module).engine(engine().build().unwrap()).build().unwrap();
    assert_eq!(get(&service, "/").await.text(), "locked");
}

/// Answers what is in its memory, which its start-up changes when it gets the lock.
const LOCKING: &str = r#"(module
    (import "wcgi" "fd_lock" (func $lock (param i32 i32 i64 i64) (result i32)))
    (import "wcgi" "fd_lock_test" (func $test (param i32 i32 i64 i64) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\08\00\00\00\20\00\00\00content-type: text/plain\0a\0afailed")
    (data (i32.const 64) "locked")
    (func (export "wizer-initialize")
        (br_if 0 (call $lock (i32.const 9) (i32.const 2) (i64.const 0) (i64.const 0)))
        (br_if 0 (call $test (i32.const 9) (i32.const 1) (i64.const 5) (i64.const 1)))
        (memory.copy (i32.const 34) (i32.const 64) (i32.const 6)))
    (func (export "_start")
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 128)))))"#;

/// A start-up has no network. It is told so whichever functions it asks by.
#[tokio::test]
async fn a_start_up_reaches_nobody() {
    log::capture();
    let dir = tempfile::tempdir().unwrap();
    let module = dir.path().join("reaching.wat");
    fs::write(&module, REACHING).unwrap();
    let service = WcgiService::builder()
        .package(&module)
        .engine(engine().cache_dir(dir.path().join("cache")).build().unwrap())
        .net("*:*".parse().unwrap())
        .build();
    let reply = get(&service.unwrap(), "/").await;
    // Two digits each: ENETUNREACH then, and now a socket and no such name.
    assert_eq!(reply.text(), "40 40 40 00\n");
    assert!(warnings_about(&module).is_empty(), "{:?}", warnings_about(&module));
    let said = log::about("").into_iter().filter(|line| line.contains("asked for the network"));
    assert_eq!(said.count(), 1);
}

/// Keeps what its start-up is answered, and asks once more in the request.
const REACHING: &str = r#"(module
    (import "wcgi" "net_open" (func $open (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "sock_open" (func $sock_open (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\08\00\00\00\28\00\00\00")
    (data (i32.const 8) "Content-Type: text/plain\0d\0a\0d\0a__ __ __ __\0a")
    (func $say (param $at i32) (param $number i32)
        (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.div_u (local.get $number) (i32.const 10))))
        (i32.store8 offset=1 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10)))))
    (func (export "wizer-initialize")
        (call $say (i32.const 36) (call $open (i32.const 100)))
        (call $say (i32.const 39) (call $sock_open (i32.const 1) (i32.const 2) (i32.const 100)))
        (call $say (i32.const 42) (call $accept (i32.const 3) (i32.const 100))))
    (func (export "_start")
        (call $say (i32.const 45) (call $open (i32.const 100)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 200)))))"#;
