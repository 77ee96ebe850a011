//! A script that makes the calls of WASI preview 1 and of `wcgi` it is told to, with any numbers as arguments.
//!
//! Its request's body says which: [`body`] of records as [`record`] makes them. It takes a read that fails for the end of
//! them. Its response's body has a byte for each call, the error number. Also compiled by the fuzz target of that name.

use std::fmt::Write as _;

/// Every function, and the types of its arguments: `i` for `i32`, `I` for `i64`. `proc_exit` gives no number back.
pub const CALLS: [(&str, &str); 63] = [
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("epoll_oneoff", "iiii"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_connect", "iii"),
    ("sock_getaddrinfo", "iiiiiiii"),
    ("sock_getlocaladdr", "iiii"),
    ("sock_getpeeraddr", "iiii"),
    ("sock_getsockopt", "iiiii"),
    ("sock_open", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_setsockopt", "iiiii"),
    ("sock_shutdown", "ii"),
    ("wcgi.client_left", ""),
    ("wcgi.fd_lock", "iiII"),
    ("wcgi.fd_lock_test", "iiII"),
    ("wcgi.ignore_abort", "i"),
    ("wcgi.net_connect", "iiii"),
    ("wcgi.net_error", "ii"),
    ("wcgi.net_look_up", "iiiii"),
    ("wcgi.net_open", "i"),
    ("wcgi.net_peer", "iii"),
    ("wcgi.net_timeout", "iiI"),
];

/// The most arguments a function has.
pub const MOST: usize = 9;
/// Where a vector of one buffer is, of 64 bytes at [`BUFFER`].
pub const VECTOR: u64 = 512;
/// Where a vector of one buffer is, of the first 16 error numbers.
pub const ERRORS: u64 = 528;
/// Where there is room for results.
pub const BUFFER: u64 = 1024;
/// Where the name of a file is, and its length.
pub const FILE: (u64, u64) = (2048, 5);
/// Where the name of a directory is, and its length.
pub const DIRECTORY: (u64, u64) = (2064, 3);
/// Where the name of what is not there is, and its length.
pub const NOTHING: (u64, u64) = (2080, 7);
/// Where subscriptions of 48 bytes are: a clock that is over at once, and then others, each with one number that is none.
pub const SUBSCRIPTIONS: u64 = 3072;
/// How many of those others there are.
pub const BAD_SUBSCRIPTIONS: u64 = 3;
/// How large the script's memory is, in bytes.
pub const MEMORY: u64 = 4 << 16;

/// The script, in the text format.
#[must_use]
pub fn script() -> String {
    let mut text = String::from("(module\n");
    for (name, parameters) in CALLS {
        let types: String = parameters.chars().map(|letter| if letter == 'I' { " i64" } else { " i32" }).collect();
        let (module, function) = name.split_once('.').unwrap_or(("wasi_snapshot_preview1", name));
        let _ = writeln!(text, "(import \"{module}\" \"{function}\" (func ${name} (param{types}) (result i32)))");
    }
    text.push_str("(func $call (param $which i32) (param $at i32) (result i32)\n");
    for (index, (name, parameters)) in CALLS.iter().enumerate() {
        let _ = write!(text, "(if (i32.eq (local.get $which) (i32.const {index})) (then (return (call ${name}");
        for (argument, letter) in parameters.chars().enumerate() {
            let ty = if letter == 'I' { "i64" } else { "i32" };
            let _ = write!(text, " ({ty}.load offset={} (local.get $at))", 8 + 8 * argument);
        }
        text.push_str("))))\n");
    }
    text.push_str("(i32.const 255))\n");
    text.push_str(REST);
    text
}

/// One call: which function of [`CALLS`], and its arguments.
#[must_use]
pub fn record(call: usize, arguments: &[u64]) -> Vec<u8> {
    let arguments = arguments.iter().copied().chain(std::iter::repeat(0)).take(MOST);
    std::iter::once(call as u64).chain(arguments).flat_map(u64::to_le_bytes).collect()
}

/// The body of a request for these calls. The script reads as much and leaves what is behind it.
#[must_use]
pub fn body(records: &[u8]) -> Vec<u8> {
    [&record(records.len() / RECORD, &[]), records].concat()
}

/// How long a record is.
pub const RECORD: usize = 80;

/// The number of a function among the calls.
///
/// # Panics
///
/// When there is no such function.
#[must_use]
pub fn call(name: &str) -> usize {
    CALLS.iter().position(|(known, _)| *known == name).expect("a function of the table")
}

/// Makes calls of any bytes: which function, then for each argument a byte that says which number it is.
#[must_use]
pub fn records(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.iter().copied();
    let mut records = Vec::new();
    while let Some(byte) = bytes.next() {
        let call = byte as usize % CALLS.len();
        let parameters = CALLS.get(call).map_or("", |(_, parameters)| parameters);
        let arguments: Vec<u64> = parameters.chars().map(|_| argument(&mut bytes)).collect();
        records.extend(record(call, &arguments));
    }
    records
}

fn argument(bytes: &mut impl Iterator<Item = u8>) -> u64 {
    let selector = bytes.next().unwrap_or_default();
    match NUMBERS.get(selector as usize % (NUMBERS.len() + 8)) {
        Some(number) => *number,
        None => bytes.take(8).fold(0, |number, byte| number << 8 | u64::from(byte)),
    }
}

/// Numbers that mean something to some function, and those at their edges.
const NUMBERS: [u64; 40] = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    16,
    48,
    64,
    255,
    256,
    512,
    712,
    1024,
    1025,
    2048,
    2064,
    2080,
    3072,
    3120,
    4095,
    4096,
    0xffff,
    1 << 16,
    1 << 20,
    (1 << 27) + 1,
    1 << 30,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    MEMORY - 8,
    MEMORY - 1,
    MEMORY,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

const REST: &str = r#"
(memory (export "memory") 4)
(data (i32.const 512) "\00\04\00\00\40\00\00\00")
(data (i32.const 528) "\40\0d\03\00\10\00\00\00")
(data (i32.const 2048) "a.txt")
(data (i32.const 2064) "sub")
(data (i32.const 2080) "nothing")
(data (i32.const 3120) "\00\00\00\00\00\00\00\00\03")
(data (i32.const 3168) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\04")
(data (i32.const 3216) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\02")
(data $head "Content-Type: text/plain\n\n")
(func (export "_start") (local $len i32) (local $end i32) (local $record i32) (local $made i32)
  ;; A record that says how many others there are, and those, are in the second page and the third; the results are in the
  ;; fourth.
  (local.set $end (i32.const 80))
  (block $read
    (loop $more
      (br_if $read (i32.ge_u (local.get $len) (local.get $end)))
      (i32.store (i32.const 0) (i32.add (i32.const 65536) (local.get $len)))
      (i32.store (i32.const 4) (i32.sub (local.get $end) (local.get $len)))
      (br_if $read (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br_if $read (i32.eqz (i32.load (i32.const 8))))
      (local.set $len (i32.add (local.get $len) (i32.load (i32.const 8))))
      (if (i32.ge_u (local.get $len) (i32.const 80))
        (then
          (local.set $end (i32.mul (i32.add (i32.load16_u (i32.const 65536)) (i32.const 1)) (i32.const 80)))
          (if (i32.gt_u (local.get $end) (i32.const 130000)) (then (local.set $end (i32.const 130000))))))
      (br $more)))
  (i64.store (i32.const 0) (i64.const 0))
  (i32.store (i32.const 8) (i32.const 0))
  (block $made_all
    (loop $next
      (local.set $record (i32.mul (i32.add (local.get $made) (i32.const 1)) (i32.const 80)))
      (br_if $made_all (i32.gt_u (i32.add (local.get $record) (i32.const 80)) (local.get $len)))
      (local.set $record (i32.add (i32.const 65536) (local.get $record)))
      (i32.store8 (i32.add (i32.const 200000) (local.get $made))
        (call $call (i32.load (local.get $record)) (local.get $record)))
      (local.set $made (i32.add (local.get $made) (i32.const 1)))
      (br $next)))
  (memory.init $head (i32.const 199974) (i32.const 0) (i32.const 26))
  (i32.store (i32.const 0) (i32.const 199974))
  (i32.store (i32.const 4) (i32.add (local.get $made) (i32.const 26)))
  (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
"#;
