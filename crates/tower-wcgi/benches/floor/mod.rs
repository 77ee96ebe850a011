//! The floor: an engine set up as the library's own (`src/runtime/config.rs`), and for each run an instance, WASI with a
//! captured stdout, and `_start`. No HTTP, no limits, no deadline, no queue, no other thread.

use std::path::{Path, PathBuf};

use wasmtime::{
    Caller, Config, Enabled, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module, PoolingAllocationConfig,
    Store, Val,
};
use wasmtime_wasi::p1::{WasiP1Ctx, add_to_linker_async};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

/// A compiled and linked program.
pub(crate) struct Floor {
    instance_pre: InstancePre<WasiP1Ctx>,
    env: Vec<(&'static str, &'static str)>,
    dir: Option<(PathBuf, &'static str)>,
}

impl Floor {
    /// Compiles `wasm`, which sees `env` and, if there is one, a host directory at a guest path.
    pub(crate) fn new(wasm: &Path, env: &[(&'static str, &'static str)], dir: Option<(&Path, &'static str)>) -> Self {
        let engine = Engine::new(&config()).expect("an engine");
        let mut linker = Linker::new(&engine);
        add_to_linker_async(&mut linker, |wasi| wasi).expect("a linker");
        let module = Module::from_file(&engine, wasm).expect("a module");
        define_own(&mut linker, &module);
        let instance_pre = linker.instantiate_pre(&module).expect("every import is there");
        Self { instance_pre, env: env.to_vec(), dir: dir.map(|(host, guest)| (host.to_owned(), guest)) }
    }

    /// Runs it once, in a new instance, and returns what it wrote.
    pub(crate) async fn run(&self) -> Vec<u8> {
        let stdout = MemoryOutputPipe::new(1 << 20);
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(stdout.clone()).envs(&self.env).allow_blocking_current_thread(true);
        if let Some((host, guest)) = &self.dir {
            wasi.preopened_dir(host, guest, FsPerms::ReadOnly).expect("the directory is there");
        }
        let mut store = Store::new(self.instance_pre.module().engine(), wasi.build_p1());
        store.set_epoch_deadline(1);
        let instance = self.instance_pre.instantiate_async(&mut store).await.expect("an instance");
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start").expect("a command");
        if let Err(end) = start.call_async(&mut store, ()).await {
            end.downcast::<I32Exit>().expect("it ends by itself");
        }
        drop(store);
        stdout.contents().into()
    }
}

/// What php-cgi imports from the library's own module, such as file locks: each function does nothing and says that all is well.
fn define_own(linker: &mut Linker<WasiP1Ctx>, module: &Module) {
    for import in module.imports().filter(|import| import.module() == "wcgi") {
        let function = import.ty().func().expect("a function").clone();
        let nothing = |_: Caller<'_, _>, _: &[Val], results: &mut [Val]| {
            results.fill(Val::I32(0));
            Ok(())
        };
        linker.func_new(import.module(), import.name(), function, nothing).expect("defined once");
    }
}

fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(SLOTS)
        .total_stacks(SLOTS)
        .total_tables(SLOTS)
        .total_memories(SLOTS)
        .table_elements(100_000)
        .max_memory_size(256 << 20);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(16 << 20).table_keep_resident(16 << 20);
    }
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .wasm_exceptions(true)
        .max_wasm_stack(2 << 20)
        .async_stack_size(3 << 20)
        .memory_guaranteed_dense_image_size(256 << 20)
        .memory_init_cow(true);
    config
}

const SLOTS: u32 = 16;
