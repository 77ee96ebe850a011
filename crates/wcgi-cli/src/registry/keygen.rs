//! `wcgi keygen`: makes a pair of keys to sign packages with.

use wcgi_registry::SigningKey;

use crate::arguments::Keygen;
use crate::report::data;

/// Prints the names of both files.
pub(crate) fn run(arguments: &Keygen) -> anyhow::Result<()> {
    let public = SigningKey::generate(&arguments.file)?;
    let (private, public) = (arguments.file.display(), public.display());
    data(&format!("private key:  {private}, for `wcgi push --sign`\npublic key:  {public}, for `--verify`\n"))
}
