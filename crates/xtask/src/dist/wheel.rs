//! A wheel for `pip install wcgi`, which has the program as a script. It is no Python, and runs without one.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::release::{ABOUT, Arch, HOMEPAGE, LICENSE, Release, sha256};

pub(super) fn make(release: &Release<'_>, arch: &Arch, program: &Path) -> Result<()> {
    let version = &release.version;
    // A static program needs no C library, so it fits those that say which they have.
    let platform = format!("manylinux_2_17_{0}.manylinux2014_{0}.musllinux_1_1_{0}", arch.name);
    let tag = |platform: &str| format!("Tag: py3-none-{platform}\n");
    let tags: String = platform.split('.').map(tag).collect();
    let info = format!("wcgi-{version}.dist-info");
    let root = release.workspace.root();
    let read = |file: &str| fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"));
    let metadata = format!(
        "Metadata-Version: 2.1\nName: wcgi\nVersion: {version}\nSummary: {ABOUT}\nHome-page: {HOMEPAGE}\n\
         License: {LICENSE}\nDescription-Content-Type: text/markdown\n\n{}",
        read("README.md")?
    );
    let wheel = format!("Wheel-Version: 1.0\nGenerator: xtask\nRoot-Is-Purelib: false\n{tags}");
    let files = [
        (format!("wcgi-{version}.data/scripts/wcgi"), fs::read(program)?, 0o755),
        (format!("{info}/LICENSE-APACHE"), read("LICENSE-APACHE")?.into_bytes(), 0o644),
        (format!("{info}/LICENSE-MIT"), read("LICENSE-MIT")?.into_bytes(), 0o644),
        (format!("{info}/METADATA"), metadata.into_bytes(), 0o644),
        (format!("{info}/WHEEL"), wheel.into_bytes(), 0o644),
    ];
    let output = release.file(&format!("wcgi-{version}-py3-none-{platform}.whl"));
    let mut archive =
        ZipWriter::new(File::create(&output).with_context(|| format!("cannot write {}", output.display()))?);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default());
    let mut record = String::new();
    for (name, bytes, mode) in &files {
        archive.start_file(name.as_str(), options.unix_permissions(*mode))?;
        archive.write_all(bytes)?;
        record += &format!("{name},sha256={},{}\n", base64url(&sha256(bytes)), bytes.len());
    }
    record += &format!("{info}/RECORD,,\n");
    archive.start_file(format!("{info}/RECORD"), options.unix_permissions(0o644))?;
    archive.write_all(record.as_bytes())?;
    archive.finish()?;
    Ok(())
}

/// Base64 for names of files, without its padding: what a wheel's list of checksums has.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..=chunk.len() {
            let digit = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap_or_default();
            text.extend(DIGITS.get(digit).copied().map(char::from));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 4648, section 10, without padding.
    #[test]
    fn base64() {
        for (bytes, text) in [("", ""), ("f", "Zg"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64url(bytes.as_bytes()), text);
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
    }
}
