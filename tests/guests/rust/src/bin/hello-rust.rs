//! hello-rust: greets the world, or whom the request body names, as the first Rust example of WCGI did.

use std::io::Read as _;

fn main() -> std::io::Result<()> {
    let mut body = Vec::new();
    std::io::stdin().read_to_end(&mut body)?;
    let who = String::from_utf8_lossy(&body);
    let who = if who.trim().is_empty() { "World" } else { who.trim() };
    print!("Content-Type: text/plain\r\n\r\nHello, {who}!\n");
    Ok(())
}
