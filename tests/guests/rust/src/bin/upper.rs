//! upper: the request body in upper case (ASCII), written and flushed as it arrives, the head first.

use std::io::{self, Read as _, Write as _};

fn main() -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(b"Content-Type: text/plain\r\n\r\n")?;
    stdout.flush()?;
    let mut buffer = [0; 8192];
    loop {
        let read = io::stdin().read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        buffer[..read].make_ascii_uppercase();
        stdout.write_all(&buffer[..read])?;
        stdout.flush()?;
    }
}
