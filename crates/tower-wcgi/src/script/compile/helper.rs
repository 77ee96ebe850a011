//! A process of its own that compiles one module and ends.
//!
//! The program starts itself again, with a job in the environment, the module on stdin, and the code on stdout. The child
//! limits its own memory and processor time before it reads anything. The parent ends it when its time is over, and the kernel
//! does when the parent is gone.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::code::settings_hash;
use crate::engine::CompileLimits;
use crate::runtime;

/// Lets modules be compiled in a separate process, which is this program started again. Call it first in `main`:
///
/// ```no_run
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     if let Some(code) = tower_wcgi::compile_helper() {
///         return code;
///     }
///     // … the program
///     ExitCode::SUCCESS
/// }
/// ```
///
/// In a process that was started to compile, it compiles and gives the exit code to return. Otherwise it gives `None`,
/// and from then on [`WcgiBuilder::build`](crate::WcgiBuilder::build) compiles in such processes. Then the
/// [limits](crate::EngineBuilder::max_compile_time) of time and memory hold for every module. Without this call they
/// hold in [part](crate::_docs::security#compiling-what-strangers-upload).
#[must_use]
pub fn compile_helper() -> Option<ExitCode> {
    let Some(job) = std::env::var_os(JOB) else {
        OFFERED.store(true, Ordering::Relaxed);
        return None;
    };
    let job = job.into_string().unwrap_or_default();
    Some(match run(&job) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // The parent reads this, or is gone.
            let _ = io::stderr().write_all(reason.as_bytes());
            ExitCode::from(REFUSED)
        }
    })
}

static OFFERED: AtomicBool = AtomicBool::new(false);

/// Whether this program can start as a helper.
pub(super) fn is_offered() -> bool {
    OFFERED.load(Ordering::Relaxed)
}

/// How a helper ended.
pub(super) enum Ended {
    Compiled(Vec<u8>),
    /// The compiler failed, with a reason.
    Refused(String),
    /// It exceeded this time.
    Late(Duration),
    /// By a signal, or a panic.
    Died(String),
}

/// Compiles `wasm`, which is of that kind, in a helper.
///
/// # Errors
///
/// Fails if there can be no helper.
pub(super) fn compile(
    kind: &str,
    wasmtime: &wasmtime::Engine,
    wasm: &[u8],
    limits: CompileLimits,
) -> io::Result<Ended> {
    let seconds = limits.time.map_or(0, |time| time.as_secs().saturating_add(1));
    let job = format!("{kind} {} {seconds} {}", settings_hash(wasmtime).to_hex(), limits.memory.unwrap_or(0));
    let mut child = Command::new(program()?)
        .env(JOB, job)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let ended = talk(&mut child, wasm, limits);
    // The helper is over, whatever the result.
    let _ = child.kill();
    let status = child.wait()?;
    let Talk { code, said, late } = ended?;
    Ok(match status.code() {
        _ if let Some(limit) = late => Ended::Late(limit),
        Some(0) => Ended::Compiled(code),
        Some(code) if code == i32::from(REFUSED) => Ended::Refused(said),
        _ => Ended::Died(format!("{status}{}{said}", if said.is_empty() { "" } else { ", " })),
    })
}

struct Talk {
    code: Vec<u8>,
    said: String,
    late: Option<Duration>,
}

fn talk(child: &mut Child, wasm: &[u8], limits: CompileLimits) -> io::Result<Talk> {
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(mut stdout), Some(stderr)) = pipes else { return Err(io::Error::other("no pipes")) };
    std::thread::scope(|scope| {
        let (over, is_over) = channel();
        let thread = || std::thread::Builder::new().name("wcgi-compile".into());
        // A helper that was ended does not read to the end.
        let begun = thread().spawn_scoped(scope, move || stdin.write_all(wasm)).and_then(|_| {
            let code = thread().spawn_scoped(scope, move || {
                let mut code = Vec::new();
                let read = stdout.read_to_end(&mut code);
                let _ = over.send(());
                read.map(|_| code)
            })?;
            let said = thread().spawn_scoped(scope, move || {
                let mut said = Vec::new();
                stderr.take(MOST_SAID).read_to_end(&mut said).map(|_| said)
            })?;
            Ok((code, said))
        });
        let late = match (&begun, limits.time) {
            (Ok(_), Some(limit)) => is_over.recv_timeout(limit).is_err().then_some(limit),
            (Ok(_), None) => is_over.recv().err().and(None),
            (Err(_), _) => None,
        };
        if late.is_some() || begun.is_err() {
            // Then the pipes end, and with them the threads.
            child.kill()?;
        }
        let (code, said) = begun?;
        let panicked = |_| Err(io::Error::other("it panicked"));
        let (code, said) = (code.join().unwrap_or_else(panicked)?, said.join().unwrap_or_else(panicked)?);
        Ok(Talk { code, said: String::from_utf8_lossy(&said).trim_end().to_owned(), late })
    })
}

/// This program, even if another file has its path by now.
fn program() -> io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

/// The helper's side.
fn run(job: &str) -> Result<(), String> {
    let words: Vec<_> = job.split(' ').collect();
    let [kind, settings, seconds, memory] = words[..] else { return Err("not a job".to_owned()) };
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    limit(number(seconds)?, number(memory)?).map_err(|error| format!("cannot limit itself: {error}"))?;
    let engine = runtime::compilers()
        .into_iter()
        .filter_map(|config| wasmtime::Engine::new(&config).ok())
        .find(|engine| settings_hash(engine).to_hex().as_str() == settings)
        .ok_or("no such settings")?;
    let mut wasm = Vec::new();
    io::stdin().read_to_end(&mut wasm).map_err(|error| error.to_string())?;
    let code = match kind {
        COMPONENT => engine.precompile_component(&wasm),
        _ => engine.precompile_module(&wasm),
    };
    let code = code.map_err(|error| format!("{error:#}"))?;
    io::stdout().write_all(&code).and_then(|()| io::stdout().flush()).map_err(|error| error.to_string())
}

/// Limits this process; 0 is no limit.
#[cfg(unix)]
fn limit(seconds: u64, memory: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // Never more than the present limit.
    let lower = |resource, to: u64| {
        let to = getrlimit(resource).maximum.map_or(to, |has| has.min(to));
        setrlimit(resource, Rlimit { current: Some(to), maximum: Some(to) })
    };
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    lower(Resource::Core, 0)?;
    if seconds > 0 {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
        lower(Resource::Cpu, seconds.saturating_mul(threads))?;
    }
    if memory > 0 {
        // On Linux private writable memory counts. Memory that is only reserved, as arenas of glibc are, does not.
        lower(if cfg!(target_os = "linux") { Resource::Data } else { Resource::As }, memory)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn limit(_seconds: u64, _memory: u64) -> io::Result<()> {
    Ok(())
}

/// The variable that has the job.
const JOB: &str = "TOWER_WCGI_COMPILE";
pub(super) const MODULE: &str = "module";
pub(super) const COMPONENT: &str = "component";
/// The exit code for a failure of the compiler.
const REFUSED: u8 = 3;
const MOST_SAID: u64 = 16 << 10;
