//! Holds the rooms of the house apart: each may use those below it, and must not know some crates of the outside.
//!
//! The table is the one of `ARCHITECTURE.md`. Sources are read as text, so a path counts wherever it stands.
#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    clippy::indexing_slicing,
    reason = "a test's helpers may fail like the test"
)]

mod sources;

use std::fs;
use std::path::Path;

use sources::{Sources, circles, paths_after};

/// A room: a module of the crate's root, and what it must not know of the outside.
struct Room {
    name: &'static str,
    never: &'static [&'static [&'static str]],
}

const HTTP: &[&str] = &["http", "http_body", "tower_service", "axum"];
/// All of it but the body, which a guest's read polls by itself: one more channel would only add a place to wait.
const HTTP_BUT_BODIES: &[&str] = &["http", "tower_service", "axum"];
/// All of it but heads.
const HTTP_BUT_HEADS: &[&str] = &["http_body", "tower_service", "axum"];
const WASM: &[&str] = &["wasm_encoder", "wasmparser", "wasmtime", "wasmtime_wasi", "wasmtime_wizer", "wat", "wiggle"];
const WASI: &[&str] = &["wasmtime_wasi", "wiggle"];
const TOKIO: &[&str] = &["tokio"];
const WORLD: &[&str] = &["std::fs", "std::thread", "std::time"];

/// From the top down. Each may use those below it.
const HOUSE: &[Room] = &[
    Room { name: "export", never: &[HTTP, WASM, TOKIO] },
    Room { name: "inspect", never: &[HTTP, TOKIO, WASI] },
    Room { name: "pack", never: &[HTTP, WASM, TOKIO] },
    Room { name: "reload", never: &[HTTP, WASM, TOKIO] },
    Room { name: "builder", never: &[WASM, TOKIO] },
    Room { name: "service", never: &[WASM] },
    Room { name: "future", never: &[WASM, TOKIO] },
    Room { name: "body", never: &[WASM, TOKIO] },
    Room { name: "release", never: &[HTTP, WASM, TOKIO] },
    Room { name: "renewal", never: &[HTTP, WASM] },
    Room { name: "exchange", never: &[HTTP] },
    Room { name: "script", never: &[HTTP] },
    Room { name: "engine", never: &[HTTP] },
    Room { name: "host", never: &[HTTP] },
    Room { name: "code", never: &[HTTP, TOKIO, WASI] },
    Room { name: "runtime", never: &[HTTP, TOKIO, WASI] },
    Room { name: "warmup", never: &[WASM, TOKIO, HTTP_BUT_HEADS] },
    Room { name: "site", never: &[WASM, TOKIO, HTTP_BUT_HEADS] },
    Room { name: "sendfile", never: &[WASM, TOKIO, HTTP_BUT_HEADS] },
    Room { name: "tree", never: &[HTTP, WASM, TOKIO] },
    Room { name: "package", never: &[HTTP, WASM, TOKIO] },
    Room { name: "gateway", never: &[WASM, TOKIO, WORLD, HTTP_BUT_HEADS] },
    Room { name: "stdio", never: &[HTTP_BUT_BODIES] },
    Room { name: "observe", never: &[HTTP, WASM, TOKIO] },
    Room { name: "outbound", never: &[HTTP, WASM] },
    Room { name: "connection", never: &[WASM, TOKIO] },
    Room { name: "request", never: &[WASM, TOKIO] },
    Room { name: "mount", never: &[HTTP, WASM, TOKIO] },
    Room { name: "environ", never: &[HTTP, WASM, TOKIO, WORLD] },
    Room { name: "defaults", never: &[HTTP, WASM, TOKIO] },
    Room { name: "backoff", never: &[HTTP, WASM, TOKIO, WORLD] },
    Room { name: "scratch", never: &[HTTP, WASM, TOKIO] },
    Room { name: "sys", never: &[HTTP, WASM, TOKIO] },
    Room { name: "error", never: &[WASM, TOKIO] },
    Room { name: "escape", never: &[HTTP, WASM, TOKIO, WORLD] },
];

/// Of no room: the front door, and what fuzz targets call.
const OUTSIDE: [&str; 2] = ["lib", "fuzzing"];

#[test]
fn every_module_is_in_a_room() {
    for file in library().files() {
        let name = room_of(&file.name);
        assert!(OUTSIDE.contains(&name) || height(name).is_some(), "module {name} is in no row of the table");
    }
    for room in HOUSE {
        assert!(library().files().any(|file| room_of(&file.name) == room.name), "room {} is nowhere", room.name);
    }
}

#[test]
fn rooms_use_nothing_but_what_is_below_them() {
    let mut wrong = Vec::new();
    for (file, uses) in library().edges() {
        let Some(own) = height(room_of(&file)) else { continue };
        for (target, path) in uses {
            if height(room_of(&target)).is_none_or(|used| used < own) {
                wrong.push(format!("{file} uses {path}, which is above it"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn rooms_know_nothing_of_the_crates_their_row_forbids() {
    let mut wrong = Vec::new();
    for room in HOUSE {
        for (place, line) in lines_of(room.name) {
            for name in room.never.iter().copied().flatten() {
                if !paths_after(&line, name).is_empty() {
                    wrong.push(format!("{place}: {} knows {name}", room.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Whoever reads a file of a circle has to read all of them.
#[test]
fn no_file_uses_who_uses_it() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for entry in fs::read_dir(crates).unwrap() {
        let root = entry.unwrap().path().join("src");
        if root.is_dir() {
            let circles = circles(&Sources::of(&root).edges());
            assert!(circles.is_empty(), "a circle in {}:\n{}", root.display(), circles.join("\n"));
        }
    }
}

#[test]
fn a_circle_through_a_facade_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod a;\nmod b;\nmod leaf;\npub use a::Public;\n");
    write("a/mod.rs", "mod one;\nmod two;\npub use one::Public;\npub(crate) use two::{Two as Other, Unused};\n");
    write(
        "a/one.rs",
        "// use crate::b::B;\nuse std::fmt;\nuse crate::{a::Other, leaf};\npub(in crate::b) struct Public;\n",
    );
    write("a/two.rs", "use crate::leaf::{\n    Leaf,\n};\n#[cfg(test)]\nmod tests {\n    use crate::b::B;\n}\n");
    write("b.rs", "use super::a::Public;\nfn f() { leaf::call() }\n");
    write("leaf.rs", "pub struct Leaf;\n");
    let edges = Sources::of(dir.path()).edges();
    let of = |file: &str| edges[file].keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(of("a/one.rs"), ["a/two.rs"]);
    assert_eq!(of("b.rs"), ["a/one.rs"]);
    assert_eq!(circles(&edges), [""; 0]);

    write("leaf.rs", "pub struct Leaf(crate::Public);\n");
    let circles = circles(&Sources::of(dir.path()).edges());
    assert_eq!(circles.len(), 3, "{circles:?}");
    assert!(circles.contains(&"leaf.rs uses Public of a/one.rs".to_owned()), "{circles:?}");
}

/// The picture in `ARCHITECTURE.md` has the rooms of the table, in its order.
#[test]
fn the_picture_has_these_rooms() {
    let path = library().root().join("../../../ARCHITECTURE.md");
    let Ok(text) = fs::read_to_string(path) else { return };
    let table = text.split("## The rooms").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let named: Vec<_> = rows.flat_map(|(names, _)| names.split("`, `")).collect();
    assert_eq!(named, HOUSE.iter().map(|room| room.name).collect::<Vec<_>>());
}

/// What is spawned must end when its owner is dropped, and only the exchange sees to that.
#[test]
fn only_the_exchange_spawns_tasks() {
    let spawns = |room: &&Room| lines_of(room.name).iter().any(|(_, line)| line.contains("spawn("));
    let spawning: Vec<_> = HOUSE.iter().filter(spawns).map(|room| room.name).collect();
    // The script's are a compiler that is waited for, as a process or as a thread, which nothing can stop. The runtime's is the
    // epoch thread, one for the process. The streams' reads what is left of a request's body, within bounds.
    assert_eq!(spawning, ["exchange", "script", "runtime", "stdio"]);
    let tasks: Vec<_> = lines_of("runtime").into_iter().filter(|(_, line)| line.contains("spawn(")).collect();
    assert!(matches!(&tasks[..], [(_, line)] if line.contains("std::thread::Builder")), "{tasks:?}");
    let places: Vec<_> = lines_of("stdio").into_iter().filter(|(_, line)| line.contains("spawn(")).collect();
    assert!(matches!(&places[..], [(place, _)] if place.starts_with("stdio/linger.rs:")), "{places:?}");
}

/// A wall clock may jump. Nothing that waits, ends or expires goes by it: deadlines, queues and turns have `Instant`, which the
/// kernel never sets back. It is looked at where a time is said to somebody or compared with a file's.
#[test]
fn nothing_is_timed_by_the_wall_clock() {
    let asks = |room: &&Room| lines_of(room.name).iter().any(|(_, line)| line.contains("SystemTime::now"));
    let asking: Vec<_> = HOUSE.iter().filter(asks).map(|room| room.name).collect();
    // What a start-up is told the time is; whether a file's time is in the future.
    assert_eq!(asking, ["script", "tree"]);
}

fn library() -> Sources {
    Sources::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// The room that the file `name` is in.
fn room_of(name: &str) -> &str {
    name.split('/').next().unwrap().trim_end_matches(".rs")
}

/// How far down a room is.
fn height(room: &str) -> Option<usize> {
    HOUSE.iter().position(|known| known.name == room)
}

/// The code of a room, by line, with the place of each.
fn lines_of(room: &str) -> Vec<(String, String)> {
    let sources = library();
    let files = sources.files().filter(|file| room_of(&file.name) == room);
    let lines = files
        .flat_map(|file| file.code.lines().enumerate().map(|(n, line)| (format!("{}:{}", file.name, n + 1), line)));
    lines.map(|(place, line)| (place, line.to_owned())).collect()
}
