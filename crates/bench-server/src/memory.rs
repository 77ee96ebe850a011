//! What the kernel says about this process.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// Resident memory, in bytes, counted exactly: the figure of `/proc/self/statm` lags behind by some pages for each core.
pub(crate) fn resident() -> anyhow::Result<u64> {
    rollup("Rss:")
}

/// The same, but of what other mappings and processes share only a part.
pub(crate) fn proportional() -> anyhow::Result<u64> {
    rollup("Pss:")
}

fn rollup(name: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/self/smaps_rollup").context("cannot read /proc/self/smaps_rollup")?;
    let kib = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("smaps_rollup has no {name}"))? * 1024)
}

/// Waits until this process has used no processor time for a while, so that whatever it does has come to where it waits.
pub(crate) async fn quiet() -> anyhow::Result<()> {
    let mut last = None;
    let mut unchanged = 0;
    while unchanged < 5 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = processor_ticks().context("cannot read /proc/self/stat")?;
        unchanged = if last == Some(now) { unchanged + 1 } else { 0 };
        last = Some(now);
    }
    Ok(())
}

/// User and system time, in clock ticks.
fn processor_ticks() -> anyhow::Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name, in parentheses, may hold anything.
    let fields: Vec<_> = stat.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).context("too few fields")?.parse::<u64>().context("no number");
    Ok(ticks(11)? + ticks(12)?)
}
