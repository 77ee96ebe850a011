//! File systems that may not answer, because another program or another machine serves them.

use std::path::Path;

/// Whether a call on files below `path` may wait for ever. If the type is unknown, it may.
#[cfg(target_os = "linux")]
pub(crate) fn may_hang(path: &Path) -> bool {
    rustix::fs::statfs(path).map_or(true, |stat| REMOTE.contains(&(stat.f_type & 0xffff_ffff)))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn may_hang(_path: &Path) -> bool {
    false
}

/// As in `statfs(2)`: FUSE, NFS, SMB, CIFS, SMB2, 9P, Ceph, AFS, Coda, OCFS2, GFS2, Lustre.
#[cfg(target_os = "linux")]
const REMOTE: [i64; 12] = [
    0x6573_5546,
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x0102_1997,
    0x00c3_6400,
    0x5346_414f,
    0x7375_7245,
    0x7461_636f,
    0x0116_1970,
    0x0bd0_0bd0,
];
