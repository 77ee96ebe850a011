//! The guest `router` as a native CGI program.

#[path = "../../guests/rust/src/router.rs"]
mod router;

fn main() -> std::process::ExitCode {
    wcgi_guest::serve(router::app())
}
