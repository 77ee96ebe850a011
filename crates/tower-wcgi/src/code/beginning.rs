//! A module's code, compiled once for all that is begun with it: services of the same package, and their snapshots.
//!
//! In: a compiled module. Out: instances of it, at its own beginning or after its start-up.

use std::sync::Arc;

use wasmtime::{Extern, Instance, InstancePre, Module, ModuleExport, Store};
use wcgi_memory::Image;

use super::prepare::{self, ModuleHash};
use super::snapshot::Snapshot;
#[cfg(feature = "compiler")]
use super::{snapshot::Globals, snapshots::Snapshots};
use crate::error::{Error, ErrorKind};
use crate::runtime;

/// A compiled module, and where it begins by itself.
pub(crate) struct Code {
    pub(crate) hash: ModuleHash,
    pub(crate) module: Module,
    /// What is set where it is begun. Nothing for a module that was not prepared: it begins as wasmtime has it begin.
    places: Option<Places>,
    #[cfg(feature = "compiler")]
    pub(crate) snapshots: Snapshots,
}

struct Places {
    data: Arc<Image>,
    memory: ModuleExport,
    globals: Vec<Global>,
    start: Option<ModuleExport>,
}

/// A global that can change.
struct Global {
    /// Its index in the module.
    index: u32,
    export: ModuleExport,
}

/// Where an instance begins.
#[derive(Clone)]
pub(crate) struct Beginning {
    code: Arc<Code>,
    /// Where it is not at the module's own beginning.
    snapshot: Option<Arc<Snapshot>>,
}

impl Code {
    /// `module`, which was compiled from what [`prepare`](super::prepare::prepare) made of `wasm`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Host`] if there is no memory for its image.
    pub(crate) fn new(hash: ModuleHash, module: Module, wasm: &[u8]) -> Result<Arc<Self>, Error> {
        let places = Places::of(&module, wasm)?;
        Ok(Arc::new(Self {
            hash,
            module,
            places,
            #[cfg(feature = "compiler")]
            snapshots: Snapshots::default(),
        }))
    }

    /// Whether memory and globals of an instance can be read and set.
    #[cfg(feature = "compiler")]
    pub(crate) fn is_prepared(&self) -> bool {
        self.places.is_some()
    }

    /// Whether `snapshot` has all the globals of this module.
    #[cfg(feature = "compiler")]
    pub(crate) fn fits(&self, snapshot: &Snapshot) -> bool {
        let ours = self.places.iter().flat_map(|places| &places.globals).map(|global| global.index);
        ours.eq(snapshot.globals.iter().map(|(index, _)| *index))
    }

    /// The memory and the globals of `instance`, which is of this module.
    #[cfg(feature = "compiler")]
    pub(crate) fn state<T>(&self, store: &mut Store<T>, instance: &Instance) -> Option<(Vec<u8>, Globals)> {
        let places = self.places.as_ref()?;
        let memory = instance.get_module_export(&mut *store, &places.memory)?.into_memory()?.data(&*store).to_vec();
        let value = |global: &Global| {
            let value = instance.get_module_export(&mut *store, &global.export)?.into_global()?.get(&mut *store);
            Some((global.index, value))
        };
        let globals = places.globals.iter().map(value).collect::<Option<_>>()?;
        Some((memory, globals))
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Code").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Places {
    fn of(module: &Module, wasm: &[u8]) -> Result<Option<Self>, Error> {
        let Some(data) = prepare::data(wasm) else { return Ok(None) };
        let Some(memory) = module.get_export_index(prepare::MEMORY) else { return Ok(None) };
        let data = Image::new(&data.memory, data.len).map_err(|error| {
            Error::new(ErrorKind::Host, "there is no room for the initial contents of the module's memory")
                .with_source(error)
        })?;
        let global = |name: &str| {
            let index = name.strip_prefix(prepare::GLOBAL)?.parse().ok()?;
            Some(Global { index, export: module.get_export_index(name)? })
        };
        Ok(Some(Self {
            data: Arc::new(data),
            memory,
            globals: module.exports().filter_map(|export| global(export.name())).collect(),
            start: module.get_export_index(prepare::START),
        }))
    }
}

impl Beginning {
    /// The module's own.
    pub(crate) fn of(code: Arc<Code>) -> Self {
        Self { code, snapshot: None }
    }

    /// After a start-up.
    #[cfg(feature = "compiler")]
    pub(crate) fn after(code: Arc<Code>, snapshot: Arc<Snapshot>) -> Self {
        Self { code, snapshot: Some(snapshot) }
    }

    pub(crate) fn is_after_start_up(&self) -> bool {
        self.snapshot.is_some()
    }

    /// How long the memory is there, in bytes, where that is known.
    pub(crate) fn memory_len(&self) -> usize {
        self.image().map_or(0, |image| image.len())
    }

    /// An instance of `pre`, which is of this module, that stands at this beginning.
    ///
    /// # Errors
    ///
    /// wasmtime's, and what the module's start function comes to.
    pub(crate) async fn instantiate<T: Send>(
        &self,
        pre: &InstancePre<T>,
        store: &mut Store<T>,
    ) -> wasmtime::Result<Instance> {
        let (Some(places), Some(image)) = (&self.code.places, self.image()) else {
            return pre.instantiate_async(store).await;
        };
        let (instance, left) = runtime::with_image(Arc::clone(image), pre.instantiate_async(&mut *store)).await;
        let instance = instance?;
        if let Some(image) = left {
            copy(&image, places.memory, &instance, store).await?;
        }
        match &self.snapshot {
            Some(snapshot) => {
                for (global, (index, value)) in places.globals.iter().zip(&snapshot.globals) {
                    debug_assert_eq!(global.index, *index);
                    let export = instance.get_module_export(&mut *store, &global.export);
                    export.and_then(Extern::into_global).ok_or_else(missing)?.set(&mut *store, *value)?;
                }
            }
            None => {
                if let Some(start) = &places.start {
                    let start = instance.get_module_export(&mut *store, start).and_then(Extern::into_func);
                    start.ok_or_else(missing)?.typed::<(), ()>(&*store)?.call_async(&mut *store, ()).await?;
                }
            }
        }
        Ok(instance)
    }

    fn image(&self) -> Option<&Arc<Image>> {
        match &self.snapshot {
            Some(snapshot) => Some(&snapshot.image),
            None => self.code.places.as_ref().map(|places| &places.data),
        }
    }
}

/// Puts into the memory of `instance` what a slot would have brought.
async fn copy<T: Send>(
    image: &Image,
    memory: ModuleExport,
    instance: &Instance,
    store: &mut Store<T>,
) -> wasmtime::Result<()> {
    let memory = instance.get_module_export(&mut *store, &memory).and_then(Extern::into_memory).ok_or_else(missing)?;
    let more = image.len().saturating_sub(memory.data_size(&*store)) as u64 / memory.page_size(&*store);
    if more > 0 {
        memory.grow_async(&mut *store, more).await?;
    }
    for (at, bytes) in image.parts() {
        memory.write(&mut *store, at, bytes)?;
    }
    Ok(())
}

fn missing() -> wasmtime::Error {
    wasmtime::format_err!("a prepared module lacks what it was prepared with")
}
