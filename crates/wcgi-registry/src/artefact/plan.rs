//! Reading an artefact: which of its blobs are needed, and where each of them goes.
//!
//! In: an image manifest and, of a package, its `wasmer.toml`, both from somewhere else. Out: a [`Plan`]. A package grants
//! itself nothing: what it wants of the host becomes a [`Need`], and its manifest does not say it any more.

use std::collections::BTreeMap;

use toml::Value;

use super::make::directory_name;
use super::manifest::{Dependency, Manifest, guest_path, plain_path};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, content};
use crate::image::{
    ARCHIVE, Descriptor, Image, MANIFEST, MODULE, MOUNT, OLDER_WASM_CONFIG, OLDER_WASM_LAYER, PACKAGE, TITLE,
    WASM_CONFIG,
};
use crate::options::Limits;
use crate::reference::Reference;

/// What is to be fetched and written.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    pub(crate) modules: Vec<Part>,
    pub(crate) mounts: Vec<Part>,
    pub(crate) needs: Vec<Need>,
    pub(crate) network: Vec<String>,
    pub(crate) dependencies: Vec<(String, Dependency)>,
}

/// What becomes of an artefact.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A directory with this manifest, which names only what lies in it.
    Package(Box<Manifest>),
    /// A single module.
    Module,
}

/// A blob and where it goes.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// Relative and plain: a file for a module, a directory for a mount.
    pub(crate) place: String,
    /// The name of a module, the guest path of a mount.
    pub(crate) name: String,
}

/// A mount that a package wants, and does not bring.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Need {
    /// The absolute guest path.
    pub guest: String,
    /// Whether the script writes there.
    pub writable: bool,
    /// Where a copy of the package may have it, if it is a directory of the package's own.
    pub directory: Option<String>,
}

impl Need {
    /// The end of a sentence about it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        if self.writable { "the script writes there" } else { "the package does not bring it" }
    }
}

/// Reads an artefact whose `wasmer.toml` is `toml`, if it is a package.
///
/// # Errors
///
/// When it is neither a package nor a module, its parts contradict each other, or it is larger than allowed.
pub(crate) fn plan(reference: &str, image: &Image, toml: Option<&[u8]>, limits: &Limits) -> Result<Plan, Error> {
    match image.kind() {
        PACKAGE => package(reference, image, toml.unwrap_or_default(), limits),
        WASM_CONFIG | OLDER_WASM_CONFIG => module(reference, image, limits),
        // Its artifact type may say anything.
        _ if matches!(&*image.config.media_type, WASM_CONFIG | OLDER_WASM_CONFIG) => module(reference, image, limits),
        other => Err(content(format!("{reference} is no package, but {other:?}"))
            .with_hint("packages are made with `wcgi push`; a container image is something else")),
    }
}

/// The layer with the `wasmer.toml` of a package.
///
/// # Errors
///
/// When there are none or several, or it is too large.
pub(crate) fn manifest_layer(reference: &str, image: &Image, limits: &Limits) -> Result<Option<Part>, Error> {
    if image.kind() != PACKAGE {
        return Ok(None);
    }
    let mut layers = image.layers.iter().filter(|layer| layer.media_type == MANIFEST);
    match (layers.next(), layers.next()) {
        (Some(layer), None) if layer.size <= limits.manifest_bytes => part(layer, "wasmer.toml", "").map(Some),
        (Some(_), None) => Err(too_large(reference, "manifest", limits.manifest_bytes)),
        _ => Err(content(format!("{reference} does not have exactly one manifest of a package"))),
    }
}

fn package(reference: &str, image: &Image, toml: &[u8], limits: &Limits) -> Result<Plan, Error> {
    let refuse = |error: &Error| content(error.to_string());
    let mut manifest = Manifest::parse(reference, toml).map_err(|error| refuse(&error))?;
    let mut titled: BTreeMap<&str, &Descriptor> = BTreeMap::new();
    for layer in image.layers.iter().filter(|layer| layer.media_type == MODULE) {
        let title = layer.annotations.get(TITLE).map_or("", String::as_str);
        if titled.insert(title, layer).is_some() {
            return Err(content(format!("{reference} has two modules {title:?}")));
        }
    }
    let mut modules = Vec::new();
    let mut taken = Vec::new();
    for (name, source) in manifest.sources().map_err(|error| refuse(&error))? {
        let Some(layer) = titled.get(source.as_str()) else {
            return Err(content(format!(
                "{reference}: the module {name:?} is not in it: no blob is called {source:?}"
            )));
        };
        if layer.size > limits.module_bytes {
            return Err(too_large(reference, &format!("module {name:?}"), limits.module_bytes)
                .with_hint("--max-module raises the limit"));
        }
        let place = plain_path(&source).filter(|place| place != "wasmer.toml");
        let place = place.ok_or_else(|| content(format!("{reference}: {source:?} is no name for a module")))?;
        if !taken.contains(&place) {
            taken.push(place.clone());
        }
        modules.push(part(layer, &place, &name)?);
    }
    for module in manifest.modules() {
        module.remove("compiled");
        let place = module.get("source").and_then(Value::as_str).and_then(plain_path);
        if let Some(place) = place {
            module.insert("source".to_owned(), Value::String(place));
        }
    }

    let mut archives: BTreeMap<String, &Descriptor> = BTreeMap::new();
    for layer in image.layers.iter().filter(|layer| layer.media_type == ARCHIVE) {
        let guest = layer.annotations.get(MOUNT).and_then(|guest| guest_path(guest));
        let guest = guest.ok_or_else(|| content(format!("{reference} has an archive that is for no mount")))?;
        archives.insert(guest, layer);
    }
    let (mut mounts, mut needs) = (Vec::new(), Vec::new());
    for mount in manifest.mounts().map_err(|error| refuse(&error))? {
        let archive = archives.get(&mount.guest).filter(|_| !mount.writable);
        let entry = match archive {
            Some(layer) => {
                let place = directory_name(&mount.host, &mount.guest, &taken);
                taken.push(place.clone());
                mounts.push(part(layer, &place, &mount.guest)?);
                Some(Value::String(place))
            }
            None => {
                let directory = plain_path(&mount.host).filter(|_| mount.writable);
                needs.push(Need { guest: mount.guest, writable: mount.writable, directory });
                None
            }
        };
        if let Some(Value::Table(fs)) = manifest.table.get_mut("fs") {
            match entry {
                Some(entry) => fs.insert(mount.key, entry),
                None => fs.remove(&mount.key),
            };
        }
    }
    if let Some(Value::Table(about)) = manifest.table.get_mut("package") {
        about.remove("readme");
        about.remove("license-file");
    }
    let dependencies = manifest.dependencies().map_err(|error| refuse(&error))?;
    for (name, dependency) in &dependencies {
        if let Dependency::Path(path) = dependency {
            let message =
                format!("{reference}: dependencies.{name}: {:?} is a path of another machine", path.display());
            return Err(content(message));
        }
    }
    let network = manifest.network();
    Ok(Plan { shape: Shape::Package(Box::new(manifest)), modules, mounts, needs, network, dependencies })
}

fn module(reference: &str, image: &Image, limits: &Limits) -> Result<Plan, Error> {
    let is_module = |layer: &&Descriptor| matches!(&*layer.media_type, MODULE | OLDER_WASM_LAYER);
    let mut layers = image.layers.iter().filter(is_module);
    let (Some(layer), None) = (layers.next(), layers.next()) else {
        return Err(content(format!("{reference} does not have exactly one module")));
    };
    if layer.size > limits.module_bytes {
        return Err(too_large(reference, "module", limits.module_bytes).with_hint("--max-module raises the limit"));
    }
    let title = layer.annotations.get(TITLE).and_then(|title| plain_path(title));
    let own_name = || {
        let reference = Reference::parse(reference).ok()?;
        Some(format!("{}.wasm", reference.name().rsplit('/').next()?))
    };
    let title = title.filter(|title| !title.contains('/') && title != "wasmer.toml").or_else(own_name);
    let title = title.unwrap_or_else(|| "module.wasm".to_owned());
    let name = title.strip_suffix(".wasm").unwrap_or(&title).to_owned();
    Ok(Plan {
        shape: Shape::Module,
        modules: vec![part(layer, &title, &name)?],
        mounts: Vec::new(),
        needs: Vec::new(),
        network: Vec::new(),
        dependencies: Vec::new(),
    })
}

fn part(layer: &Descriptor, place: &str, name: &str) -> Result<Part, Error> {
    Ok(Part { digest: layer.checked_digest()?, size: layer.size, place: place.to_owned(), name: name.to_owned() })
}

fn too_large(reference: &str, what: &str, limit: u64) -> Error {
    Error::new(ErrorKind::Limit, format!("{reference}: its {what} has more than the {limit} bytes that are allowed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{EMPTY, EMPTY_JSON};

    const LIMITS: fn() -> Limits = Limits::default;

    fn image(layers: Vec<Descriptor>) -> Image {
        Image::new(Some(PACKAGE), Descriptor::of(EMPTY, EMPTY_JSON), layers)
    }

    fn planned(layers: Vec<Descriptor>, toml: &str) -> Result<Plan, Error> {
        plan("a.b/c:1", &image(layers), Some(toml.as_bytes()), &LIMITS())
    }

    fn module_layer(title: &str) -> Descriptor {
        Descriptor::of(MODULE, title.as_bytes()).annotated(TITLE, title)
    }

    #[test]
    fn a_package_grants_itself_nothing() {
        let toml = r#"
[package]
readme = "/etc/passwd"
[[module]]
name = "m"
source = "m.wasm"
compiled = "/tmp/code"
[fs]
"/app" = "app"
"/etc" = "/etc"
"/up" = "../.."
"/db" = { path = "db", mode = "rw" }
"/home" = { path = "/home", mode = "rw" }
"#;
        let archive = Descriptor::of(ARCHIVE, b"app").annotated(MOUNT, "app/");
        // An archive for a writable mount would be written to.
        let written = Descriptor::of(ARCHIVE, b"db").annotated(MOUNT, "/db");
        let plan = planned(vec![module_layer("m.wasm"), archive, written], toml).unwrap();
        let Shape::Package(manifest) = &plan.shape else { panic!("a package") };
        let text = manifest.text();
        for absent in ["/etc", "/tmp", "..", "db", "home", "readme", "rw"] {
            assert!(!text.contains(absent), "{absent}: {text}");
        }
        assert_eq!(plan.mounts.iter().map(|part| (&*part.name, &*part.place)).collect::<Vec<_>>(), [("/app", "app")]);
        let needs: Vec<_> =
            plan.needs.iter().map(|need| (&*need.guest, need.writable, need.directory.as_deref())).collect();
        let expected = [("/db", true, Some("db")), ("/etc", false, None), ("/home", true, None), ("/up", false, None)];
        assert_eq!(needs, expected);
    }

    #[test]
    fn parts_that_contradict_each_other_are_refused() {
        let of_source = |source: &str| format!("[[module]]\nname = 'm'\nsource = '{source}'\n");
        for (layers, toml) in [
            (vec![], of_source("m.wasm")),
            (vec![module_layer("../m.wasm")], of_source("../m.wasm")),
            (vec![module_layer("/m.wasm")], of_source("/m.wasm")),
            (vec![module_layer("wasmer.toml")], of_source("wasmer.toml")),
            (vec![module_layer("m"), module_layer("m")], of_source("m")),
            (vec![Descriptor::of(ARCHIVE, b"")], String::new()),
            (vec![Descriptor::of(ARCHIVE, b"").annotated(MOUNT, "/a/../b")], String::new()),
            (vec![], "[fs]\n'..' = 'x'".to_owned()),
            (vec![], "[fs]\n'/a' = 1".to_owned()),
            (vec![], "[dependencies]\nx = '../x'".to_owned()),
            (vec![], "[dependencies]\nx = '/x'".to_owned()),
            (vec![], "[[module]]".to_owned()),
            (vec![], "not TOML".to_owned()),
        ] {
            let error = planned(layers, &toml).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Content, "{toml}: {error}");
        }
        let mut layer = module_layer("m");
        layer.digest = "sha256:../../x".to_owned();
        assert!(planned(vec![layer], &of_source("m")).is_err());
    }

    #[test]
    fn two_places_never_lie_in_one_another() {
        let toml = "[fs]\n'/a' = 'x'\n'/b' = 'x/y'\n'/c' = '.'\n'/' = '/'\n'/e' = 'wasmer.toml'\n";
        let guests = ["/a", "/b", "/c", "/", "/e"];
        let layers = guests.map(|guest| Descriptor::of(ARCHIVE, b"").annotated(MOUNT, guest)).to_vec();
        let plan = planned(layers, toml).unwrap();
        let mut places: Vec<_> = plan.mounts.iter().map(|part| part.place.as_str()).collect();
        places.sort_unstable();
        assert_eq!(places, ["b", "c", "e", "mount", "x"]);
    }

    #[test]
    fn the_artefact_of_a_single_module_is_one_whoever_made_it() {
        for (config, layer) in [(WASM_CONFIG, MODULE), (OLDER_WASM_CONFIG, OLDER_WASM_LAYER)] {
            let image = Image::new(None, Descriptor::of(config, b"{}"), vec![Descriptor::of(layer, b"x")]);
            let plan = plan("a.b/me/tool:1", &image, None, &LIMITS()).unwrap();
            assert_eq!(plan.modules[0].place, "tool.wasm");
        }
        let container = Image::new(None, Descriptor::of("application/vnd.oci.image.config.v1+json", b"{}"), vec![]);
        let error = plan("a.b/c", &container, None, &LIMITS()).unwrap_err();
        assert!(error.to_string().contains("is no package"), "{error}");
        let two = Image::new(None, Descriptor::of(WASM_CONFIG, b"{}"), vec![module_layer("a"), module_layer("b")]);
        plan("a.b/c", &two, None, &LIMITS()).unwrap_err();
    }

    #[test]
    fn too_much_is_known_before_it_is_fetched() {
        let mut layer = module_layer("m");
        layer.size = (256 << 20) + 1;
        let error = planned(vec![layer], "[[module]]\nname = 'm'\nsource = 'm'\n").unwrap_err();
        assert_eq!((error.kind(), error.hint()), (ErrorKind::Limit, Some("--max-module raises the limit")));
        let mut layer = Descriptor::of(MANIFEST, b"");
        layer.size = (4 << 20) + 1;
        assert_eq!(manifest_layer("a.b/c", &image(vec![layer]), &LIMITS()).unwrap_err().kind(), ErrorKind::Limit);
        assert!(manifest_layer("a.b/c", &image(vec![]), &LIMITS()).is_err());
    }
}
