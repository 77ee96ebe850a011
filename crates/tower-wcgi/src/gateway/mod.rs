//! The gateway: a request's head becomes meta-variables, a script's first bytes become a response's head (RFC 3875).
//!
//! Everything here is a pure function of its arguments. In: parts of HTTP messages and the settings of a service.
//! Out: environment blocks and response heads. It must not know wasm, tokio, the file system or the clock.

mod authority;
mod head;
mod hop_by_hop;
mod meta_variables;
mod request_headers;
mod response;
mod target;

#[cfg(test)]
mod tests_chunking;
#[cfg(test)]
mod tests_meta_variables;
#[cfg(test)]
mod tests_request_headers;
#[cfg(test)]
mod tests_response;

pub(crate) use head::{Head, ResponseHead};
pub(crate) use meta_variables::{Request, Settings, environ, is_per_request};
pub(crate) use response::{HeadParser, Progress};
pub(crate) use target::{Target, split};
