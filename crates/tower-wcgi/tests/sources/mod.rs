//! Sources read as text: which file uses what another defines, through whatever facade it gets there.
//!
//! A name that a module only passes on (`pub use`) belongs to the file that defines it. Comments and unit tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The files of one crate, by the path of the module that each is.
pub(crate) struct Sources {
    root: PathBuf,
    files: BTreeMap<Vec<String>, File>,
}

pub(crate) struct File {
    /// Below the crate's `src`.
    pub(crate) name: String,
    /// Without comments, unit tests and the paths of visibilities, with as many lines as there are.
    pub(crate) code: String,
    uses: Vec<Use>,
}

/// One name that a `use` brings in.
struct Use {
    /// Others get it from here too.
    passes_on: bool,
    path: Vec<String>,
    name: String,
}

/// What each file uses, by its name, with the path that says so.
pub(crate) type Edges = BTreeMap<String, BTreeMap<String, String>>;

impl Sources {
    pub(crate) fn of(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        for path in files_below(root) {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            let code = code(&fs::read_to_string(&path).unwrap());
            let uses = uses(&code);
            files.insert(module(&name), File { name, code, uses });
        }
        Self { root: root.to_owned(), files }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.values()
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (module, file) in &self.files {
            let mut used = BTreeMap::new();
            for path in self.paths(module, file) {
                let Some(target) = self.definer(&path, &mut BTreeSet::new()) else { continue };
                if target.name != file.name {
                    used.entry(target.name.clone()).or_insert_with(|| path.join("::"));
                }
            }
            edges.insert(file.name.clone(), used);
        }
        edges
    }

    /// The paths of this crate that a file names, from its root on.
    fn paths(&self, module: &[String], file: &File) -> Vec<Vec<String>> {
        let (mut paths, mut prefixes) = (Vec::new(), Vec::new());
        for Use { passes_on, path, name } in &file.uses {
            let Some(path) = self.absolute(module, path) else { continue };
            if self.files.contains_key(&path) {
                prefixes.push((name.clone(), path));
            } else if !passes_on {
                paths.push(path);
            }
        }
        // Modules below are named without a `use`.
        for child in self.files.keys().filter(|child| child.split_last().is_some_and(|(_, parent)| parent == module)) {
            prefixes.extend(child.last().map(|name| (name.clone(), child.clone())));
        }
        for line in file.code.lines().filter(|line| use_item(line).is_none()) {
            for start in ["crate", "super"] {
                paths.extend(paths_after(line, start).into_iter().filter_map(|path| self.absolute(module, &path)));
            }
            for (name, path) in &prefixes {
                paths.extend(paths_after(line, name).into_iter().map(|named| [path, &named[1..]].concat()));
            }
        }
        paths
    }

    /// `path` from the crate's root on, if it is of this crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let supers = path.iter().take_while(|segment| *segment == "super").count();
        let (base, rest) = match path.first()?.as_str() {
            "crate" => (&[][..], &path[1..]),
            "self" => (module, &path[1..]),
            "super" => (&module[..module.len().checked_sub(supers)?], &path[supers..]),
            first => {
                let child = [module, &[first.to_owned()]].concat();
                self.files.contains_key(&child).then_some((module, path))?
            }
        };
        Some([base, rest].concat())
    }

    /// The file that defines what `path` names.
    fn definer(&self, path: &[String], seen: &mut BTreeSet<Vec<String>>) -> Option<&File> {
        let depth = (0..=path.len()).rev().find(|depth| self.files.contains_key(&path[..*depth]))?;
        let (module, rest) = path.split_at(depth);
        let file = self.files.get(module)?;
        let passed_on =
            rest.first().and_then(|name| file.uses.iter().find(|used| used.passes_on && used.name == *name));
        match passed_on.and_then(|used| self.absolute(module, &used.path)) {
            Some(from) if seen.insert(path.to_vec()) => self.definer(&[&from[..], &rest[1..]].concat(), seen),
            _ => Some(file),
        }
    }
}

/// Every use by which a file comes back to itself.
pub(crate) fn circles(edges: &Edges) -> Vec<String> {
    let mut left = edges.clone();
    loop {
        let names: BTreeSet<String> = left.keys().cloned().collect();
        let used: BTreeSet<String> = left.values().flat_map(|uses| uses.keys()).cloned().collect();
        for uses in left.values_mut() {
            uses.retain(|target, _| names.contains(target));
        }
        // Who uses nobody that is left, or is used by none of them, is in no circle.
        left.retain(|name, uses| !uses.is_empty() && used.contains(name));
        if left.len() == names.len() {
            let uses = |(name, uses): (&String, &BTreeMap<String, String>)| {
                uses.iter().map(|(target, path)| format!("{name} uses {path} of {target}")).collect::<Vec<_>>()
            };
            return left.iter().flat_map(uses).collect();
        }
    }
}

/// For each `start` that begins a path in `line`: its segments.
pub(crate) fn paths_after(line: &str, start: &str) -> Vec<Vec<String>> {
    let is_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
    let begins = |at: &usize| !line[..*at].ends_with(is_path);
    let starts = line.match_indices(start).map(|(at, _)| at).filter(begins);
    starts
        .map(|at| line[at..].split(|c| !is_path(c)).next().unwrap_or_default())
        .filter(|path| path[start.len()..].starts_with("::"))
        .map(|path| path.split("::").filter(|segment| !segment.is_empty()).map(str::to_owned).collect())
        .collect()
}

/// The module that the file `name` is.
fn module(name: &str) -> Vec<String> {
    let mut module: Vec<_> = name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

fn code(text: &str) -> String {
    // Tests are last in a file.
    let end = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\n#["].into_iter().filter_map(|start| text.find(start)).min();
    let mut code = String::new();
    for line in text[..end.unwrap_or(text.len())].lines() {
        if !line.trim_start().starts_with("//") {
            match line.split_once("pub(in ") {
                Some((before, after)) => code.extend([before, after.split_once(')').map_or(after, |(_, rest)| rest)]),
                None => code.push_str(line),
            }
        }
        code.push('\n');
    }
    code
}

/// What comes after the `use` that `line` begins with, and whether others get it from there.
fn use_item(line: &str) -> Option<(bool, &str)> {
    let line = line.trim_start();
    let (passes_on, rest) = match line.strip_prefix("pub") {
        Some(rest) => (true, rest.trim_start_matches(|c| c != ' ').trim_start()),
        None => (false, line),
    };
    Some((passes_on, rest.strip_prefix("use ")?))
}

fn uses(code: &str) -> Vec<Use> {
    let mut uses = Vec::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let Some((passes_on, begin)) = use_item(line) else { continue };
        let mut tree = begin.to_owned();
        while !tree.contains(';') {
            tree.push_str(lines.next().expect("a `use` ends"));
        }
        let tree: String = tree.split(';').next().unwrap_or_default().replace(" as ", "@").split_whitespace().collect();
        for path in expand(&tree) {
            let (path, name) = path.split_once('@').map_or((path.as_str(), None), |(path, name)| (path, Some(name)));
            let path: Vec<_> = path.trim_end_matches("::self").split("::").map(str::to_owned).collect();
            let name = name.map(str::to_owned).or_else(|| path.last().cloned()).unwrap_or_default();
            uses.push(Use { passes_on, path, name });
        }
    }
    uses
}

/// `a::{b, c::{d}}` is `a::b`, `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let Some((before, rest)) = tree.split_once('{') else { return vec![tree.to_owned()] };
    let inner = rest.strip_suffix('}').unwrap_or(rest);
    let (mut depth, mut start, mut paths) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if start < at {
                    paths.extend(expand(&inner[start..at]).into_iter().map(|path| format!("{before}{path}")));
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    paths
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if name.ends_with(".rs") && !name.starts_with("tests") {
            files.push(path);
        }
    }
    files
}
