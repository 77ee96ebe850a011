//! `examples/wordpress`: over HTTP at the root and below a prefix, and as people use it, in a browser.

mod in_a_browser;
mod over_http;
