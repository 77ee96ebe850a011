//! The network of a start-up, which has none: no request would have its connections.

use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::{ImportType, Linker, Module, Val};

use super::guest_memory::WCGI;
use super::{sockets, wasmedge};

/// Has each function of the network that `module` imports say that there is none.
pub(crate) fn define<T: 'static>(linker: &mut Linker<T>, module: &Module) -> wasmtime::Result<()> {
    static SAID: AtomicBool = AtomicBool::new(false);
    for import in module.imports().filter(is_of_network) {
        let Some(ty) = import.ty().func().cloned() else { continue };
        linker.func_new(import.module(), import.name(), ty, move |_, _, results| {
            if !SAID.swap(true, Ordering::Relaxed) {
                tracing::warn!("the start-up of a script asked for the network, which only requests have");
            }
            if let Some(result) = results.first_mut() {
                *result = Val::I32(sockets::ERRNO_NETUNREACH.cast_signed());
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Whether it is a function by which a module could reach the network.
fn is_of_network(import: &ImportType<'_>) -> bool {
    import.module() == WCGI && import.name().starts_with("net_") || wasmedge::has(import)
}
