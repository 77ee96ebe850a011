//! No number that a script gives to a call ends it: bad ones are `EINVAL`, bad pointers `EFAULT`.
//!
//! Components cannot give such numbers. By the specification of the canonical ABI, an invalid value of an enum traps, and
//! unknown flags are dropped.

use std::fs;
use std::time::Duration;

use http::Method;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tempfile::TempDir;
use tower_wcgi::{Access, ErrorKind, WcgiService};
use wcgi_tests::calls::{
    BAD_SUBSCRIPTIONS, BUFFER, CALLS, DIRECTORY, FILE, MEMORY, NOTHING, SUBSCRIPTIONS, VECTOR, body, call, record,
    records, script,
};
use wcgi_tests::{Reply, engine, post, request};

const SUCCESS: u8 = 0;
const BADF: u8 = 8;
const FAULT: u8 = 21;
const INVAL: u8 = 28;
const NOTCONN: u8 = 53;
/// The mount `/d`, its file `a.txt`, and stdout.
const DIR: u64 = 3;
const OPEN: u64 = 5;
const STDOUT: u64 = 1;

/// What an argument is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// One of so many values.
    Enum(u64),
    /// Any of so many bits.
    Flags(u32),
    /// Fits into 16 bits.
    Short,
    /// Leads to so many bytes.
    Pointer(u64),
}
use Kind::{Enum, Flags, Pointer, Short};

/// The arguments of a call that is right, and which of them are what.
type Row = (&'static str, &'static [u64], &'static [(usize, Kind)]);

const TABLE: &[Row] = &[
    ("args_get", &[BUFFER, BUFFER], &[(0, Pointer(4)), (1, Pointer(1))]),
    ("args_sizes_get", &[BUFFER, BUFFER], &[(0, Pointer(4)), (1, Pointer(4))]),
    ("clock_res_get", &[0, BUFFER], &[(0, Enum(2)), (1, Pointer(8))]),
    ("clock_time_get", &[1, 0, BUFFER], &[(0, Enum(2)), (2, Pointer(8))]),
    ("environ_get", &[BUFFER, BUFFER], &[(0, Pointer(4)), (1, Pointer(1))]),
    ("environ_sizes_get", &[BUFFER, BUFFER], &[(0, Pointer(4)), (1, Pointer(4))]),
    ("epoll_oneoff", &[SUBSCRIPTIONS, BUFFER, 1, BUFFER], &[(0, Pointer(48)), (1, Pointer(32)), (3, Pointer(4))]),
    ("fd_advise", &[OPEN, 0, 0, 0], &[(3, Enum(6))]),
    ("fd_allocate", &[OPEN, 0, 1], &[]),
    ("fd_close", &[99], &[]),
    ("fd_datasync", &[OPEN], &[]),
    ("fd_fdstat_get", &[OPEN, BUFFER], &[(1, Pointer(24))]),
    ("fd_fdstat_get", &[STDOUT, BUFFER], &[(1, Pointer(24))]),
    ("fd_fdstat_set_flags", &[OPEN, 0], &[(1, Flags(5))]),
    ("fd_fdstat_set_rights", &[OPEN, 0, 0], &[(1, Flags(30)), (2, Flags(30))]),
    ("fd_filestat_get", &[OPEN, BUFFER], &[(1, Pointer(64))]),
    ("fd_filestat_set_size", &[OPEN, 3], &[]),
    ("fd_filestat_set_times", &[OPEN, 0, 0, 0], &[(3, Flags(4))]),
    ("fd_pread", &[OPEN, VECTOR, 1, 0, BUFFER], &[(1, Pointer(8)), (4, Pointer(4))]),
    ("fd_prestat_dir_name", &[DIR, BUFFER, 2], &[(1, Pointer(2))]),
    ("fd_prestat_get", &[DIR, BUFFER], &[(1, Pointer(8))]),
    ("fd_pwrite", &[OPEN, VECTOR, 1, 0, BUFFER], &[(1, Pointer(8)), (4, Pointer(4))]),
    ("fd_read", &[OPEN, VECTOR, 1, BUFFER], &[(1, Pointer(8)), (3, Pointer(4))]),
    ("fd_read", &[0, VECTOR, 1, BUFFER], &[(1, Pointer(8)), (3, Pointer(4))]),
    ("fd_readdir", &[DIR, BUFFER, 64, 0, BUFFER], &[(1, Pointer(64)), (4, Pointer(4))]),
    ("fd_renumber", &[99, 98], &[]),
    ("fd_seek", &[OPEN, 0, 0, BUFFER], &[(2, Enum(3)), (3, Pointer(8))]),
    ("fd_seek", &[STDOUT, 0, 0, BUFFER], &[(2, Enum(3))]),
    ("fd_sync", &[OPEN], &[]),
    ("fd_tell", &[OPEN, BUFFER], &[(1, Pointer(8))]),
    ("fd_write", &[OPEN, VECTOR, 1, BUFFER], &[(1, Pointer(8)), (3, Pointer(4))]),
    ("fd_write", &[STDOUT, VECTOR, 0, BUFFER], &[(3, Pointer(4))]),
    ("path_create_directory", &[DIR, DIRECTORY.0, DIRECTORY.1], &[(1, Pointer(3))]),
    ("path_filestat_get", &[DIR, 0, FILE.0, FILE.1, BUFFER], &[(1, Flags(1)), (2, Pointer(5)), (4, Pointer(64))]),
    ("path_filestat_set_times", &[DIR, 0, FILE.0, FILE.1, 0, 0, 0], &[(1, Flags(1)), (2, Pointer(5)), (6, Flags(4))]),
    (
        "path_link",
        &[DIR, 0, FILE.0, FILE.1, DIR, DIRECTORY.0, DIRECTORY.1],
        &[(1, Flags(1)), (2, Pointer(5)), (5, Pointer(3))],
    ),
    (
        "path_open",
        &[DIR, 0, FILE.0, FILE.1, 0, 2, 0, 0, BUFFER],
        &[
            (1, Flags(1)),
            (2, Pointer(5)),
            (4, Flags(4)),
            (5, Flags(30)),
            (6, Flags(30)),
            (7, Flags(5)),
            (8, Pointer(4)),
        ],
    ),
    ("path_readlink", &[DIR, FILE.0, FILE.1, BUFFER, 64, BUFFER], &[(1, Pointer(5))]),
    ("path_remove_directory", &[DIR, NOTHING.0, NOTHING.1], &[(1, Pointer(7))]),
    ("path_rename", &[DIR, NOTHING.0, NOTHING.1, DIR, FILE.0, FILE.1], &[(1, Pointer(7)), (4, Pointer(5))]),
    ("path_symlink", &[FILE.0, FILE.1, DIR, DIRECTORY.0, DIRECTORY.1], &[(0, Pointer(5)), (3, Pointer(3))]),
    ("path_unlink_file", &[DIR, NOTHING.0, NOTHING.1], &[(1, Pointer(7))]),
    ("poll_oneoff", &[SUBSCRIPTIONS, BUFFER, 1, BUFFER], &[(0, Pointer(48)), (1, Pointer(32)), (3, Pointer(4))]),
    ("proc_raise", &[1], &[(0, Enum(31))]),
    ("random_get", &[BUFFER, 8], &[(0, Pointer(8))]),
    ("sched_yield", &[], &[]),
    ("sock_accept", &[OPEN, 0, BUFFER], &[(1, Flags(5))]),
    ("sock_connect", &[99, BUFFER, 80], &[]),
    (
        "sock_getaddrinfo",
        &[FILE.0, FILE.1, 0, 0, BUFFER, BUFFER, 1, BUFFER],
        &[(0, Pointer(5)), (4, Pointer(3)), (5, Pointer(4))],
    ),
    ("sock_getlocaladdr", &[99, BUFFER, BUFFER, BUFFER], &[]),
    ("sock_getpeeraddr", &[99, BUFFER, BUFFER, BUFFER], &[]),
    ("sock_getsockopt", &[99, 0, 2, BUFFER, BUFFER], &[]),
    ("sock_open", &[1, 2, BUFFER], &[(2, Pointer(4))]),
    ("sock_recv", &[OPEN, VECTOR, 1, 0, BUFFER, BUFFER], &[(3, Flags(2))]),
    ("sock_send", &[OPEN, VECTOR, 1, 0, BUFFER], &[(3, Short)]),
    ("sock_setsockopt", &[99, 0, 7, BUFFER, 4], &[]),
    ("sock_shutdown", &[OPEN, 1], &[(1, Flags(2))]),
    ("wcgi.client_left", &[], &[]),
    ("wcgi.fd_lock", &[OPEN, 1, 0, 1], &[(1, Enum(3))]),
    ("wcgi.fd_lock_test", &[OPEN, 1, 0, 1], &[(1, Enum(3))]),
    ("wcgi.ignore_abort", &[1], &[(0, Enum(2))]),
    ("wcgi.net_connect", &[99, FILE.0, FILE.1, 80], &[]),
    ("wcgi.net_error", &[99, BUFFER], &[]),
    ("wcgi.net_look_up", &[FILE.0, FILE.1, BUFFER, 1, BUFFER], &[(0, Pointer(5))]),
    ("wcgi.net_open", &[BUFFER], &[(0, Pointer(4))]),
    ("wcgi.net_peer", &[99, BUFFER, BUFFER], &[]),
    ("wcgi.net_timeout", &[99, 0, 0], &[]),
];

impl Kind {
    /// Numbers that it cannot be, and what the call is answered with then.
    fn bad(self, is_wide: bool) -> (Vec<u64>, u8) {
        let top = if is_wide { u64::MAX } else { u32::MAX.into() };
        match self {
            Enum(values) => (vec![values, 255, 256, 257, 712, 1 << 16, 0x8000_0000, top], INVAL),
            Flags(bits) => (vec![1 << bits, 1 << bits | 1, 1 << 31, top, top / 2 + 1], INVAL),
            Short => (vec![1 << 16, top], INVAL),
            Pointer(bytes) => (vec![MEMORY, MEMORY + 1 - bytes, 0x8000_0000, top], FAULT),
        }
    }
}

/// The script in a directory of its own, which also is `/d`.
fn service() -> (TempDir, WcgiService) {
    let engine = engine().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("calls.wat"), script()).unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/a.txt"), "abc").unwrap();
    let service = WcgiService::builder()
        .package(dir.path().join("calls.wat"))
        .engine(engine)
        .deadline(Duration::from_secs(5))
        .map_dir("/d", dir.path().join("d"), Access::ReadWrite);
    (dir, service.build().unwrap())
}

/// The call after the file was opened, and what each is answered with.
async fn made(service: &WcgiService, name: &str, arguments: &[u64]) -> u8 {
    let open = [DIR, 0, FILE.0, FILE.1, 0, 1 << 1 | 1 << 6, 0, 0, BUFFER];
    let records = [record(call("path_open"), &open), record(call(name), arguments)].concat();
    let reply = post(service, "/", body(&records)).await;
    assert_eq!((reply.failure, reply.body.len()), (None, 2), "{name} {arguments:?}: {}", reply.text());
    assert_eq!(reply.body[0], SUCCESS, "a.txt is opened");
    reply.body[1]
}

#[tokio::test]
async fn a_bad_enum_flag_or_clock_is_einval_and_a_bad_pointer_efault() {
    let (_dir, service) = service();
    for (name, parameters) in CALLS {
        assert!(TABLE.iter().any(|(row, arguments, _)| *row == name && arguments.len() == parameters.len()), "{name}");
    }
    for (name, arguments, kinds) in TABLE {
        let right = made(&service, name, arguments).await;
        assert!(![INVAL, FAULT].contains(&right) || *name == "path_readlink", "{name} as it should be: {right}");
        let (_, parameters) = CALLS.iter().find(|(known, _)| known == name).unwrap();
        for (place, kind) in *kinds {
            let (numbers, expected) = kind.bad(parameters.as_bytes()[*place] == b'I');
            for number in numbers {
                let mut arguments = arguments.to_vec();
                arguments[*place] = number;
                assert_eq!(made(&service, name, &arguments).await, expected, "{name}, argument {place}: {number}");
            }
        }
    }
}

#[tokio::test]
async fn a_bad_subscription_is_einval() {
    let (_dir, service) = service();
    for n in 1..=BAD_SUBSCRIPTIONS {
        let subscription = SUBSCRIPTIONS + 48 * n;
        assert_eq!(made(&service, "poll_oneoff", &[subscription, BUFFER, 1, BUFFER]).await, INVAL, "{n}");
        let both = [SUBSCRIPTIONS, BUFFER, n + 1, BUFFER];
        assert_eq!(made(&service, "poll_oneoff", &both).await, INVAL, "up to {n}");
    }
}

#[tokio::test]
async fn a_file_whose_number_could_not_be_told_is_not_left_open() {
    let (_dir, service) = service();
    let at = |number| record(call("path_open"), &[DIR, 0, FILE.0, FILE.1, 0, 1 << 1, 0, 0, number]);
    let mut calls = at(MEMORY).repeat(400);
    calls.extend(at(BUFFER));
    let reply = post(&service, "/", body(&calls)).await;
    assert_eq!(reply.body.iter().filter(|errno| **errno == FAULT).count(), 400);
    assert_eq!(reply.body.last(), Some(&SUCCESS), "the limit of open files is not reached");
    let reply = post(&service, "/", body(&[at(MEMORY), record(call("fd_close"), &[OPEN])].concat())).await;
    assert_eq!(&reply.body[..], [FAULT, BADF]);
}

/// C's `access` looks at the rights of the mount, and its `open` asks for no more than those.
#[tokio::test]
async fn a_read_only_mount_says_that_it_cannot_be_written() {
    const ROFS: u8 = 69;
    const WRITE: u64 = 1 << 6;
    let (dir, service) = service();
    drop(service);
    fs::create_dir(dir.path().join("r")).unwrap();
    fs::write(dir.path().join("r/a.txt"), "kept").unwrap();
    let service = WcgiService::builder()
        .package(dir.path().join("calls.wat"))
        .engine(engine().build().unwrap())
        .map_dir("/d", dir.path().join("d"), Access::ReadWrite)
        .map_dir("/r", dir.path().join("r"), Access::ReadOnly)
        .build()
        .unwrap();
    // The mounts are 3 and 4, `/tmp` is 5; `a.txt` of `/d` gets what was said.
    let open = |dir, rights| record(call("path_open"), &[dir, 0, FILE.0, FILE.1, 0, rights, 0, 0, BUFFER]);
    for (mount, writable) in [(3, true), (4, false), (5, true)] {
        let calls = [
            open(3, 1 << 1 | WRITE),
            record(call("fd_fdstat_get"), &[mount, BUFFER]),
            record(call("fd_write"), &[6, VECTOR, 1, NOTHING.0]),
        ];
        let reply = post(&service, "/", body(&calls.concat())).await;
        assert_eq!(&reply.body[..], [SUCCESS, SUCCESS, SUCCESS]);
        let said = fs::read(dir.path().join("d/a.txt")).unwrap();
        let inherited = u64::from_le_bytes(said[16..24].try_into().unwrap());
        assert_eq!(inherited & WRITE != 0, writable, "{mount}");
        assert!(inherited & 1 << 1 != 0, "it can be read");
    }
    // What C asks for then: to read and write, to write, to read.
    let (allocate, resize) = (1 << 8, 1 << 22);
    let calls = [open(4, 1 << 1 | allocate | resize), open(4, allocate | resize), open(4, 1 << 1)];
    let reply = post(&service, "/", body(&calls.concat())).await;
    assert_eq!(&reply.body[..], [ROFS, ROFS, SUCCESS]);
}

/// What the calls are answered with on a socket, whose number is the first that no file gets.
#[tokio::test]
async fn a_socket_that_is_not_connected_answers_every_call() {
    const SOCKET: u64 = 512;
    let (_dir, service) = service();
    for (name, arguments, expected) in [
        ("fd_fdstat_get", &[SOCKET, BUFFER][..], SUCCESS),
        ("fd_fdstat_get", &[SOCKET, MEMORY], FAULT),
        ("fd_fdstat_get", &[SOCKET + 1, BUFFER], BADF),
        ("fd_fdstat_set_flags", &[SOCKET, 4], SUCCESS),
        ("fd_fdstat_set_flags", &[SOCKET, 1 << 5], INVAL),
        ("fd_filestat_get", &[SOCKET, BUFFER], SUCCESS),
        ("fd_read", &[SOCKET, VECTOR, 1, BUFFER], NOTCONN),
        ("fd_read", &[SOCKET, MEMORY, 1, BUFFER], FAULT),
        ("fd_read", &[SOCKET, VECTOR, 1, MEMORY], FAULT),
        ("fd_write", &[SOCKET, VECTOR, 1, BUFFER], NOTCONN),
        ("fd_seek", &[SOCKET, 0, 0, BUFFER], 70),
        ("fd_pread", &[SOCKET, VECTOR, 1, 0, BUFFER], BADF),
        ("fd_renumber", &[SOCKET, SOCKET], SUCCESS),
        ("fd_renumber", &[SOCKET, OPEN], 58),
        ("fd_renumber", &[OPEN, SOCKET], 58),
        ("sock_recv", &[SOCKET, VECTOR, 1, 3, BUFFER, BUFFER], NOTCONN),
        ("sock_recv", &[SOCKET, VECTOR, 1, 4, BUFFER, BUFFER], INVAL),
        ("sock_send", &[SOCKET, VECTOR, 1, 1, BUFFER], INVAL),
        ("sock_shutdown", &[SOCKET, 3], NOTCONN),
        ("sock_shutdown", &[SOCKET, 0], INVAL),
        ("sock_getpeeraddr", &[SOCKET, BUFFER, BUFFER, BUFFER], NOTCONN),
        ("sock_getsockopt", &[SOCKET, 1, 2, BUFFER, BUFFER], 50),
        ("wcgi.net_connect", &[SOCKET, FILE.0, FILE.1, 0], INVAL),
        ("wcgi.net_connect", &[SOCKET, FILE.0, FILE.1, 80], 2),
        ("wcgi.net_connect", &[SOCKET, MEMORY, 1, 80], FAULT),
        ("wcgi.net_error", &[SOCKET, BUFFER], SUCCESS),
        ("wcgi.net_error", &[SOCKET, MEMORY], FAULT),
        ("wcgi.net_timeout", &[SOCKET, 2, 0], INVAL),
        ("wcgi.net_timeout", &[SOCKET, 1, u64::MAX], SUCCESS),
        ("fd_close", &[SOCKET], SUCCESS),
    ] {
        let open = [
            record(call("path_open"), &[DIR, 0, FILE.0, FILE.1, 0, 2, 0, 0, BUFFER]),
            record(call("wcgi.net_open"), &[BUFFER]),
        ];
        let records = [&open.concat()[..], &record(call(name), arguments)].concat();
        let reply = post(&service, "/", body(&records)).await;
        assert_eq!(reply.body[..], [SUCCESS, SUCCESS, expected], "{name} {arguments:?}");
    }
}

/// Whatever numbers it gives, the script comes to its end.
#[test]
fn no_numbers_end_a_script() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_dir, service) = service();
    // The same numbers in every run.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config { cases: 1000, ..Config::default() }, rng);
    let made = runner.run(&vec(any::<u8>(), 0..600), |bytes| {
        let ended = runtime.block_on(async {
            match service.try_call(request(Method::POST, "/", body(&records(&bytes)))).await {
                Ok(response) => Reply::read(response).await.failure,
                Err(error) => Some(error.kind()),
            }
        });
        // It may have closed its stdout, written there, or asked to sleep for long.
        use ErrorKind::{DeadlineExceeded, MalformedResponse, NoResponse};
        prop_assert!(matches!(ended, None | Some(NoResponse | MalformedResponse | DeadlineExceeded)), "{ended:?}");
        Ok(())
    });
    made.unwrap();
}
