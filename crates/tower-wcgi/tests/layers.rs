//! Holds the modules apart: what each of them may use of the others, and which crates it must not know.
//!
//! Reads the sources as text, so a path counts wherever it stands. Tests and comments may name what they like.
#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test's helpers may fail like the test")]

use std::fs;
use std::path::{Path, PathBuf};

/// A top-level module, in the order a request meets them.
struct Layer {
    name: &'static str,
    /// What it may use of this crate, as prefixes of paths.
    uses: &'static [&'static str],
    /// What it must not know of the outside.
    never: &'static [&'static [&'static str]],
}

const HTTP: &[&str] = &["http", "http_body", "tower_service", "axum"];
const WASM: &[&str] = &["wasm_encoder", "wasmparser", "wasmtime", "wasmtime_wasi", "wasmtime_wizer", "wat"];
const RUNTIME: &[&str] = &["tokio"];
const WORLD: &[&str] = &["std::fs", "std::thread", "std::time"];

const LAYERS: &[Layer] = &[
    Layer {
        name: "service",
        uses: &[
            "body",
            "builder",
            "connection",
            "engine",
            "error",
            "exchange",
            "future",
            "gateway",
            "outbound::Outbound",
            "renewal::Renewal",
            "request",
            "scratch::Scratch",
            "sendfile",
            "site",
            "stdio",
            "tree::Facts",
        ],
        never: &[WASM],
    },
    Layer {
        name: "builder",
        uses: &[
            "connection",
            "engine",
            "error",
            "escape",
            "exchange::Files",
            "exchange::Seen",
            "exchange::initialisation",
            "gateway",
            "outbound",
            "package",
            "renewal::Renewal",
            "script::Source",
            "sendfile::SendFile",
            "service",
            "site::Routes",
            "tree::Tree",
            "warmup",
        ],
        never: &[WASM, RUNTIME],
    },
    Layer {
        name: "renewal",
        uses: &["engine", "error", "exchange", "package::Module", "script"],
        never: &[HTTP, WASM],
    },
    Layer {
        name: "export",
        uses: &["builder", "error", "exchange::Seen", "package", "script"],
        never: &[HTTP, WASM, RUNTIME],
    },
    Layer { name: "request", uses: &[], never: &[WASM, RUNTIME] },
    Layer { name: "connection", uses: &["error"], never: &[WASM, RUNTIME] },
    Layer {
        name: "gateway",
        uses: &["error"],
        never: &[WASM, RUNTIME, WORLD, &["http_body", "tower_service", "axum"]],
    },
    // It owns the linker, whose type names what a store holds, and the room that bodies on disk share.
    Layer {
        name: "engine",
        uses: &["error", "exchange::State", "runtime", "scratch", "script", "stdio::SpoolRoom"],
        never: &[HTTP],
    },
    // Its host calls work on what the store of an exchange holds.
    Layer { name: "script", uses: &["engine", "error", "exchange", "outbound", "package", "runtime"], never: &[HTTP] },
    Layer { name: "runtime", uses: &["error"], never: &[HTTP, RUNTIME, &["wasmtime_wasi"]] },
    // The environment is a block of bytes by then, and the id is for the log. What is left of a body is a `Body`.
    Layer {
        name: "exchange",
        uses: &[
            "engine",
            "error",
            "escape",
            "gateway::Environ",
            "outbound",
            "package",
            "request::RequestId",
            "runtime",
            "scratch",
            "script",
            "stdio",
        ],
        never: &[&["http", "tower_service", "axum"]],
    },
    Layer {
        name: "sendfile",
        uses: &["error", "tree"],
        never: &[WASM, RUNTIME, &["http_body", "tower_service", "axum"]],
    },
    Layer {
        name: "site",
        uses: &["error", "package::Site", "tree"],
        never: &[WASM, RUNTIME, &["http_body", "tower_service", "axum"]],
    },
    Layer {
        name: "warmup",
        uses: &["error", "gateway", "package::Mount", "site"],
        never: &[WASM, RUNTIME, &["http_body", "tower_service", "axum"]],
    },
    Layer { name: "tree", uses: &["error", "package"], never: &[HTTP, WASM, RUNTIME] },
    // A guest's read polls the request's body itself: one more channel between them would only add a place to wait.
    Layer {
        name: "stdio",
        uses: &["error", "escape", "request::RequestId"],
        never: &[&["http", "tower_service", "axum"]],
    },
    // The engine only to keep its threads while they read a file.
    Layer {
        name: "body",
        uses: &["engine::Engine", "error", "exchange", "request", "stdio::FileReader"],
        never: &[WASM, RUNTIME],
    },
    Layer { name: "future", uses: &["body", "error"], never: &[WASM, RUNTIME] },
    Layer {
        name: "package",
        uses: &["connection::TrustedProxies", "error", "outbound::InvalidNetRule", "outbound::NetRule", "scratch"],
        never: &[HTTP, WASM, RUNTIME],
    },
    // The id is for the log.
    Layer { name: "outbound", uses: &["request::RequestId"], never: &[HTTP, WASM] },
    Layer { name: "scratch", uses: &[], never: &[HTTP, WASM, RUNTIME] },
    Layer { name: "error", uses: &["escape"], never: &[WASM, RUNTIME] },
    Layer { name: "escape", uses: &[], never: &[HTTP, WASM, RUNTIME, WORLD] },
];

#[test]
fn every_module_has_a_row() {
    for path in entries(&sources()) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            name == "lib" || LAYERS.iter().any(|layer| layer.name == name),
            "module {name} is in no row of the table"
        );
    }
}

#[test]
fn modules_use_nothing_but_what_their_row_says() {
    let mut wrong = Vec::new();
    for layer in LAYERS {
        for (place, line) in lines_of(layer.name) {
            for path in paths_after(&line, "crate::") {
                let own = path.split("::").next() == Some(layer.name);
                let may = |allowed: &&str| path == *allowed || path.starts_with(&format!("{allowed}::"));
                if !own && !layer.uses.iter().any(may) {
                    wrong.push(format!("{place}: {} uses {path}", layer.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn modules_know_nothing_of_the_crates_their_row_forbids() {
    let mut wrong = Vec::new();
    for layer in LAYERS {
        for (place, line) in lines_of(layer.name) {
            for name in layer.never.iter().copied().flatten() {
                if !paths_after(&line, &format!("{name}::")).is_empty() {
                    wrong.push(format!("{place}: {} knows {name}", layer.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What is spawned must end when its owner is dropped, and only the exchange sees to that.
#[test]
fn only_the_exchange_spawns_tasks() {
    let spawns = |layer: &&Layer| lines_of(layer.name).iter().any(|(_, line)| line.contains("spawn("));
    let spawning: Vec<_> = LAYERS.iter().filter(spawns).map(|layer| layer.name).collect();
    // The runtime's is the epoch thread, one for the process. The script's are a compiler that is waited for, as a process or as a
    // thread, which nothing can stop.
    assert_eq!(spawning, ["script", "runtime", "exchange"]);
    let tasks: Vec<_> = lines_of("runtime").into_iter().filter(|(_, line)| line.contains("spawn(")).collect();
    assert!(matches!(&tasks[..], [(_, line)] if line.contains("std::thread::Builder")), "{tasks:?}");
}

/// A wall clock may jump. Nothing that waits, ends or expires goes by it: deadlines, queues and turns have `Instant`, which the
/// kernel never sets back. It is looked at where a time is said to somebody or compared with a file's.
#[test]
fn nothing_is_timed_by_the_wall_clock() {
    let asks = |layer: &&Layer| lines_of(layer.name).iter().any(|(_, line)| line.contains("SystemTime::now"));
    let asking: Vec<_> = LAYERS.iter().filter(asks).map(|layer| layer.name).collect();
    // What a start-up is told the time is; whether a file's time is in the future.
    assert_eq!(asking, ["script", "tree"]);
}

/// The code of a module without its comments and tests, by line.
fn lines_of(module: &str) -> Vec<(String, String)> {
    let file = sources().join(module).with_extension("rs");
    let files = if file.exists() { vec![file] } else { files_below(&sources().join(module)) };
    let mut lines = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        // Tests are last in a file.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (n, line) in code.lines().enumerate() {
            let line = if line.trim_start().starts_with("//") { "" } else { line };
            let place = file.strip_prefix(sources()).unwrap().display();
            lines.push((format!("{place}:{}", n + 1), line.to_owned()));
        }
    }
    assert!(!lines.is_empty(), "module {module} is nowhere");
    lines
}

/// For each `start` that begins a path in `line`: up to two segments of what follows it.
fn paths_after(line: &str, start: &str) -> Vec<String> {
    let begins = |at: &usize| !line[..*at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':'));
    let is_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
    line.match_indices(start)
        .map(|(at, _)| at)
        .filter(begins)
        .map(|at| {
            let rest = &line[at + start.len()..];
            let path = &rest[..rest.find(|c| !is_path(c)).unwrap_or(rest.len())];
            path.split("::").filter(|segment| !segment.is_empty()).take(2).collect::<Vec<_>>().join("::")
        })
        .collect()
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in entries(dir) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if !name.starts_with("tests") {
            files.push(path);
        }
    }
    files
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}
