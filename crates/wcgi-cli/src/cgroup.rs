//! The memory that the process's control group leaves it. Above it the kernel ends the process, which no program can answer.

use std::fs;
use std::path::{Path, PathBuf};

use tower_wcgi::Engine;

/// Says so in the log if all requests at once may take more memory than the control group has.
pub(crate) fn compare(engine: &Engine) {
    let wanted = (engine.permits() as u64).saturating_mul(engine.max_memory() as u64);
    let Some(limit) = limit().filter(|limit| *limit < wanted) else { return };
    tracing::info!(
        "the control group allows {} MiB of memory. {} requests at once with {} MiB each may take more, and then the kernel \
         ends the server; allow fewer requests (max-concurrency) or less for each (max-memory)",
        limit >> 20,
        engine.permits(),
        engine.max_memory() >> 20,
    );
}

/// The least limit of the group and those above it, in bytes.
pub(crate) fn limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    files(&groups).filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok()).min()
}

/// Where the limits are said. In a container the group's own name may not be seen; its root then is the group.
fn files(groups: &str) -> impl Iterator<Item = PathBuf> {
    groups.lines().filter_map(of_line).flat_map(|(root, group, file)| {
        let group = Path::new(group.trim_start_matches('/'));
        group.ancestors().map(move |group| Path::new(root).join(group).join(file)).collect::<Vec<_>>()
    })
}

/// `/proc/self/cgroup` has `0::PATH` for version 2, and `N:memory:PATH` for version 1 (cgroups(7)).
fn of_line(line: &str) -> Option<(&'static str, &str, &'static str)> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, group) = rest.split_once(':')?;
    if controllers.is_empty() {
        return Some(("/sys/fs/cgroup", group, "memory.max"));
    }
    let is_memory = controllers.split(',').any(|controller| controller == "memory");
    is_memory.then_some(("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_said_by_the_group_and_those_above() {
        let files = |groups| files(groups).map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(
            files("0::/a.slice/b.service\n"),
            ["a.slice/b.service/", "a.slice/", ""].map(|group| format!("/sys/fs/cgroup/{group}memory.max"))
        );
        assert_eq!(
            files("9:name=systemd:/\n4:cpu,memory:/a\n3:cpuset:/b\n0::/\nnonsense\n"),
            [
                "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory.max"
            ]
        );
    }
}
