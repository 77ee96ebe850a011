//! `wcgi doctor`: what this machine offers, and what would keep packages from being served.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tower_wcgi::Engine;
use wcgi_registry::{Options, Registry};

use crate::arguments::Doctor;
use crate::cgroup;
use crate::log::Log;
use crate::registry::store;
use crate::report::{self, data};

/// Prints one fact a line. The result says whether packages can be served.
pub(crate) fn run(arguments: &Doctor, log: &Log) -> anyhow::Result<bool> {
    log.release();
    let mut findings = Findings::default();
    findings.fact("version", env!("CARGO_PKG_VERSION"));
    findings.fact("compiler", if cfg!(feature = "compiler") { "yes" } else { "no: only compiled packages are served" });
    kernel(&mut findings);
    engine(arguments, &mut findings);
    temporary(&mut findings);
    if let Some(limit) = cgroup::limit() {
        findings.fact("control group", format!("at most {} MiB of memory", limit >> 20));
    }
    runtimes(arguments, &mut findings);
    findings.fact("sandbox", "none: this version has no walls around the process but those of its service manager");
    data(&findings.text)?;
    Ok(findings.serves)
}

#[derive(Debug)]
struct Findings {
    text: String,
    serves: bool,
}

impl Default for Findings {
    fn default() -> Self {
        Self { text: String::new(), serves: true }
    }
}

impl Findings {
    fn fact(&mut self, name: &str, fact: impl AsRef<str>) {
        self.text += &format!("{:<15} {}\n", format!("{name}:"), fact.as_ref());
    }

    fn fatal(&mut self, name: &str, why: impl AsRef<str>) {
        self.fact(name, format!("FAILS: {}", why.as_ref()));
        self.serves = false;
    }
}

fn kernel(findings: &mut Findings) {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        findings.fact("system", format!("{} {}", std::env::consts::OS, release.trim()));
        if cfg!(target_os = "linux") {
            let scans = version(&release) >= (6, 7);
            findings.fact("pagemap scan", if scans { "yes" } else { "no: Linux 6.7 resets memory faster" });
            let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
            let landlock = modules.trim().split(',').any(|module| module == "landlock");
            findings.fact("Landlock", if landlock { "yes" } else { "not seen" });
            if let Ok(maps) = fs::read_to_string("/proc/sys/vm/max_map_count") {
                findings.fact("memory maps", format!("at most {}", maps.trim()));
            }
        }
        let limit = |resource| getrlimit(resource).maximum.map_or("any number of".to_owned(), |most| most.to_string());
        findings.fact("open files", format!("{} at once", limit(Resource::Nofile)));
        if let Some(bytes) = getrlimit(Resource::As).current {
            findings.fact("addresses", format!("{} MiB, and each instance reserves some", bytes >> 20));
        }
    }
    #[cfg(not(unix))]
    findings.fact("system", std::env::consts::OS);
}

/// The first two numbers of a release such as `6.8.0-generic`.
#[cfg(unix)]
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn engine(arguments: &Doctor, findings: &mut Findings) {
    let mut builder = Engine::builder();
    if let Some(dir) = &arguments.cache.cache_dir {
        builder = builder.cache_dir(dir);
    }
    if arguments.cache.no_cache {
        builder = builder.no_cache();
    }
    match builder.build() {
        Ok(engine) => {
            let (permits, memory) = (engine.permits(), report::size(engine.max_memory()));
            findings.fact("engine", format!("{permits} exchanges at once with at most {memory} each"));
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            findings
                .fatal("engine", report::error(&error).trim_end().trim_start_matches("error: ").replace('\n', "; "));
        }
    }
    let cache = arguments.cache.cache_dir.clone().or_else(wcgi_registry::Store::default_cache_dir);
    let cache = cache.filter(|_| !arguments.cache.no_cache);
    findings.fact(
        "cache",
        match cache {
            None => "none: modules are compiled at each start".to_owned(),
            Some(dir) if fs::create_dir_all(&dir).is_ok() && can_write(&dir) => dir.display().to_string(),
            Some(dir) => format!("{} cannot be written, so modules are compiled at each start", dir.display()),
        },
    );
}

/// What each exchange has as its `/tmp` is made there.
fn temporary(findings: &mut Findings) {
    let dir = std::env::temp_dir();
    match can_write(&dir) {
        true => findings.fact("TMPDIR", dir.display().to_string()),
        false => findings.fatal("TMPDIR", format!("{} cannot be written", dir.display())),
    }
}

fn can_write(dir: &Path) -> bool {
    let file: PathBuf = dir.join(format!(".wcgi-doctor-{}", std::process::id()));
    let made = File::create_new(&file).is_ok();
    made && fs::remove_file(&file).is_ok()
}

fn runtimes(arguments: &Doctor, findings: &mut Findings) {
    let known =
        store(&arguments.cache).and_then(|store| Ok(Registry::new(store, Options::from_environment()?).runtimes()));
    let text = match known {
        Ok(known) if known.is_empty() => "none".to_owned(),
        Ok(known) => known.iter().map(|runtime| runtime.reference.to_string()).collect::<Vec<_>>().join(", "),
        Err(error) => format!("unknown: {error:#}"),
    };
    findings.fact("runtimes", text);
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    #[test]
    fn releases_are_two_numbers_at_first() {
        for (release, numbers) in [("6.8.0-generic", (6, 8)), ("5.15", (5, 15)), ("x", (0, 0))] {
            assert_eq!(super::version(release), numbers);
        }
    }
}
