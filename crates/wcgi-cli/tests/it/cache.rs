//! The folder of compiled modules: who may be able to write there, and what happens where others can.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use wcgi_tests::guest;

use crate::process::Serving;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Serves `guest_name` with the cache at `cache`, asks once, and gives the warnings up to then.
fn warnings(guest_name: &str, cache: &Path) -> Vec<String> {
    let serving = Serving::start(&guest(guest_name), &["--cache-dir", cache.to_str().unwrap()]);
    assert!(serving.get("/").starts_with("HTTP/1.1 200"));
    serving.lines_until("GET /").into_iter().filter(|line| line.contains("WARN")).collect()
}

/// What is in `cache`, below its entries.
fn files(cache: &Path) -> Vec<PathBuf> {
    let below = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let mut files: Vec<_> = below(cache).iter().flat_map(|entry| below(entry)).collect();
    files.sort();
    files
}

#[test]
fn a_cache_that_others_can_write_goes_unused_with_one_warning() {
    let dir = tempfile::tempdir().unwrap();
    let (above, cache) = (dir.path().join("above"), dir.path().join("above/cache"));
    fs::create_dir_all(&cache).unwrap();
    for (path, mode) in [(&cache, 0o777), (&cache, 0o775), (&cache, 0o1777), (&above, 0o777)] {
        set_mode(path, mode);
        // Three modules are looked for: the snapshot, what makes it, and the script itself where there is none.
        let warnings = warnings("table", &cache);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let said = format!("others can write to {}, whose mode is {mode:04o}", path.display());
        assert!(warnings[0].contains("the cache of compiled modules is not used") && warnings[0].contains(&said));
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 0, "nothing is written either");
        set_mode(path, 0o755);
    }
    assert_eq!(warnings("table", &cache), [""; 0]);
    assert!(!files(&cache).is_empty());
}

#[test]
fn code_that_others_could_have_put_into_the_cache_is_never_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    assert_eq!(warnings("hello", &cache), [""; 0]);
    let [file] = &files(&cache)[..] else { panic!("one module, one file") };
    let entry = file.parent().unwrap().to_owned();

    // A file that says something else than `hello` under the name of its content, as a stranger would put it there.
    let other = dir.path().join("other");
    assert_eq!(warnings("env", &other), [""; 0]);
    let planted = entry.join(files(&other)[0].file_name().unwrap());
    fs::rename(file, dir.path().join("aside")).unwrap();
    fs::copy(&files(&other)[0], &planted).unwrap();
    let response = |expected: usize| {
        let serving = Serving::start(&guest("hello"), &["--cache-dir", cache.to_str().unwrap()]);
        assert!(serving.get("/").contains("Hello"));
        let warning = serving.line("WARN");
        assert_eq!(files(&cache).len(), expected, "{warning}");
        warning
    };

    set_mode(&entry, 0o777);
    assert!(response(1).contains("others can write to"));
    set_mode(&entry, 0o700);
    set_mode(&planted, 0o666);
    // It is replaced by what the module is compiled to.
    assert!(response(1).contains("a file in the cache is not used"));
    assert!(!planted.exists() && file.exists());

    // A link is not followed, wherever it leads.
    fs::remove_file(file).unwrap();
    symlink(dir.path().join("aside"), file).unwrap();
    assert!(response(1).contains("a file in the cache is not used"));
    assert!(file.symlink_metadata().unwrap().is_file());
}
