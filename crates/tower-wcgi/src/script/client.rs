//! What a script can ask and say about its client: functions that it imports from [`MODULE`]. See `docs/client.md`.

use wasmtime::{Caller, Linker};

use super::link::{ERRNO_INVAL, ERRNO_SUCCESS, Errno};
use super::locks::MODULE;
use crate::exchange::State;

pub(super) fn define(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, IGNORE, ignore_abort)?;
    linker.func_wrap(MODULE, LEFT, |caller: Caller<'_, State>| u32::from(caller.data().client_left()))?;
    Ok(())
}

/// For a start-up, which has no client: what it says is forgotten, and nobody leaves.
pub(crate) fn define_alone<T: 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, IGNORE, |_ignore: u32| ERRNO_SUCCESS)?;
    linker.func_wrap(MODULE, LEFT, || 0_u32)?;
    Ok(())
}

fn ignore_abort(caller: Caller<'_, State>, ignore: u32) -> Errno {
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

const IGNORE: &str = "ignore_abort";
const LEFT: &str = "client_left";
const ERRNO_NOTSUP: Errno = 58;
