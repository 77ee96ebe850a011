//! router: an axum program, run by `wcgi_guest`.

#[path = "../router.rs"]
mod router;

fn main() -> std::process::ExitCode {
    wcgi_guest::serve(router::app())
}
