//! Forty sites of one PHP package that differ in one variable. Measures the cost of opening them, first with an empty cache, then
//! in a new process with the filled cache.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::figures::{self, Series};
use super::findings::Findings;
use super::setting::Setting;
use crate::program;

pub(crate) fn run(setting: &Setting<'_>, findings: &mut Findings) -> Result<()> {
    let Some(package) = findings.keep(COLD, setting.on_snapshot_php("php")) else { return Ok(()) };
    let cache = setting.directory.join("sites-cache");
    if cache.exists() {
        fs::remove_dir_all(&cache).with_context(|| format!("cannot remove {}", cache.display()))?;
    }
    // It takes long and says much: once.
    let cold = open(setting, &cache, &package)?;
    let only = |value: f64| [value].into_iter().collect::<Series>();
    findings.add(COLD, "s", only(cold.seconds));
    findings.add(EACH_COLD, "MB", only(cold.resident));
    findings.add("the same, what is mapped several times counted once", "MB", only(cold.proportional));
    findings.add(CACHE, "MB", only(size(&cache)? as f64 / MB));

    let (mut seconds, mut resident) = (Series::default(), Series::default());
    for _ in 0..setting.rounds {
        let warm = open(setting, &cache, &package)?;
        seconds.push(warm.seconds);
        resident.push(warm.resident);
    }
    findings.add(WARM, "s", seconds);
    findings.add("resident memory of a site that was in the cache", "MB", resident);
    Ok(())
}

/// What one process found.
struct Opened {
    seconds: f64,
    /// MB for each.
    resident: f64,
    proportional: f64,
}

fn open(setting: &Setting<'_>, cache: &Path, package: &Path) -> Result<Opened> {
    let mut measure = setting.bench_server_on(cache);
    measure.args(["sites", "--sites", &SITES.to_string(), "--package"]).arg(package);
    let figures = figures::parse(&program::capture(&mut measure)?);
    let number = |name| figures::number(&figures, name);
    ensure!(number("sites")? == f64::from(SITES), "{} sites were opened", number("sites")?);
    let each = |before, after| Ok::<_, anyhow::Error>((number(after)? - number(before)?) / f64::from(SITES) / MB);
    Ok(Opened {
        seconds: number("microseconds")? / 1e6,
        resident: each("resident_before", "resident_after")?,
        proportional: each("proportional_before", "proportional_after")?,
    })
}

/// The bytes of all files below `directory`.
fn size(directory: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}

const SITES: u32 = 40;
const MB: f64 = 1e6;
pub(crate) const COLD: &str = "forty PHP sites that differ in one variable, opened with an empty cache";
pub(crate) const EACH_COLD: &str = "resident memory of each of them";
pub(crate) const CACHE: &str = "the cache of all of them";
pub(crate) const WARM: &str = "the forty sites opened by a new process, all in the cache";
