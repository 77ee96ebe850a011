//! What a script can ask and say about its client: functions that it imports from [`WCGI`]. See `docs/client.md`.

use wasmtime::{Caller, Linker};

use super::errno::{ERRNO_INVAL, ERRNO_NOTSUP, ERRNO_SUCCESS, Errno};
use super::guest_memory::WCGI;
use crate::host::state::HostState;

pub(super) fn define(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.func_wrap(WCGI, IGNORE, ignore_abort)?;
    linker.func_wrap(WCGI, LEFT, |caller: Caller<'_, HostState>| u32::from(caller.data().client_left()))?;
    Ok(())
}

fn ignore_abort(caller: Caller<'_, HostState>, ignore: u32) -> Errno {
    let state = caller.data();
    match ignore {
        0 | 1 if !state.may_ignore_abort => ERRNO_NOTSUP,
        0 | 1 => {
            state.ignore_abort(ignore == 1);
            ERRNO_SUCCESS
        }
        _ => ERRNO_INVAL,
    }
}

pub(super) const IGNORE: &str = "ignore_abort";
pub(super) const LEFT: &str = "client_left";
