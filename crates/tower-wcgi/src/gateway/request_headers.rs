//! The headers of a request that a script may see. Repeated headers become one variable.
//!
//! In: a header map, and the names that the operator has set. Out: `HTTP_*` variables (RFC 3875 §4.1.18). It
//! must not know the other meta-variables.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::hop_by_hop::{is_hop_by_hop, named_by_connection};
use crate::environ::{Environ, InvalidVariable};

/// Pushes every header that may pass, except those in `constants`, until `environ` is longer than `max_bytes`.
///
/// `Host` is not among them: its variable depends on the request's target as well.
pub(super) fn push_headers(
    environ: &mut Environ,
    headers: &HeaderMap,
    pass_authorization: bool,
    constants: &Environ,
    max_bytes: usize,
) -> Result<(), InvalidVariable> {
    let dropped = named_by_connection(headers);
    // Most packages set none, which spares the search for each header.
    let overridden = constants.contains_any_header();
    for name in headers.keys() {
        if !passes(name, pass_authorization)
            || dropped.contains(name)
            || (overridden && constants.contains_header(name.as_str()))
        {
            continue;
        }
        // RFC 9110 §5.3 joins with a comma, RFC 9113 §8.2.3 makes an exception of Cookie.
        let separator: &[u8] = if name == header::COOKIE { b"; " } else { b", " };
        environ.push_header(name.as_str(), headers.get_all(name).iter().map(HeaderValue::as_bytes), separator)?;
        if environ.block().len() > max_bytes {
            break;
        }
    }
    Ok(())
}

/// Whether a header of this name may become a variable.
fn passes(name: &HeaderName, pass_authorization: bool) -> bool {
    match name.as_str() {
        // RFC 3875 §9.2: credentials are for the server, unless it leaves their check to the script.
        "authorization" | "proxy-authorization" => pass_authorization,
        // HTTP_PROXY makes many programs send their own requests through a proxy (CVE-2016-5385).
        "proxy" => false,
        // RFC 3875 §4.1.18: these have their own variables. Without a second copy nothing can disagree.
        "content-type" | "content-length" | "host" => false,
        // The server has answered it before the script sees the body.
        "expect" => false,
        // `X_Forwarded_For` and `X-Forwarded-For` would be one variable, but only one of them comes from a proxy.
        text => text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && !is_hop_by_hop(name),
    }
}
