//! Signatures: Ed25519 over the digest of a package's manifest, as text.
//!
//! In: keys in PEM, as `openssl genpkey -algorithm ed25519` writes them. Out: 64 bytes, or whether those are a key's. It
//! knows neither registries nor the store.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use ed25519_dalek::{Signature, Signer as _};

use crate::digest::Digest;
use crate::error::{Error, package};

/// A private key.
#[derive(Debug)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl SigningKey {
    /// Reads a private key: PKCS#8 in PEM.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is no such key.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let text = read(file)?;
        ed25519_dalek::SigningKey::from_pkcs8_pem(&text).map(Self).map_err(|error| {
            package(format!("{} is no private Ed25519 key", file.display())).with_source(error).with_hint(MAKE)
        })
    }

    /// Makes a key pair: the private key as `file`, which only its owner may read, the public key beside it, as
    /// `file` with `.pub` at the end. Gives the name of the latter.
    ///
    /// # Errors
    ///
    /// When one of them is there already, or cannot be written.
    pub fn generate(file: &Path) -> Result<PathBuf, Error> {
        let mut public_name = file.as_os_str().to_owned();
        public_name.push(".pub");
        let public_file = PathBuf::from(public_name);
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| package("no random numbers").with_source(error))?;
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        let encoding = |why: String| package(format!("cannot write the key as PEM: {why}"));
        let private = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| encoding(error.to_string()))?;
        let public =
            key.verifying_key().to_public_key_pem(LineEnding::LF).map_err(|error| encoding(error.to_string()))?;
        if public_file.exists() {
            return Err(package(format!("{} is there already", public_file.display())));
        }
        create(file, private.as_bytes(), true)?;
        create(&public_file, public.as_bytes(), false)?;
        Ok(public_file)
    }

    pub(crate) fn sign(&self, digest: &Digest) -> [u8; BYTES] {
        self.0.sign(digest.to_string().as_bytes()).to_bytes()
    }
}

impl VerifyingKey {
    /// Reads a public key in PEM. A private one will do too.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is no such key.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let text = read(file)?;
        let public = ed25519_dalek::VerifyingKey::from_public_key_pem(&text);
        let private = || ed25519_dalek::SigningKey::from_pkcs8_pem(&text).map(|key| key.verifying_key());
        public.or_else(|error| private().map_err(|_| error)).map(Self).map_err(|error| {
            package(format!("{} is no public Ed25519 key", file.display())).with_source(error).with_hint(MAKE)
        })
    }

    /// Whether `signature` is this key's, of `digest`.
    pub(crate) fn has_signed(&self, digest: &Digest, signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.0.verify_strict(digest.to_string().as_bytes(), &signature).is_ok())
    }
}

fn read(file: &Path) -> Result<String, Error> {
    let shown = file.display();
    let metadata = fs::metadata(file).map_err(|error| package(format!("cannot read {shown}")).with_source(error))?;
    if metadata.len() > LARGEST_KEY {
        return Err(package(format!("{shown} is too large to be a key")));
    }
    fs::read_to_string(file).map_err(|error| package(format!("cannot read {shown}")).with_source(error))
}

fn create(file: &Path, bytes: &[u8], private: bool) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(if private { 0o600 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = private;
    options
        .open(file)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|error| package(format!("cannot create {}", file.display())).with_source(error))
}

/// The length of a signature.
pub(crate) const BYTES: usize = 64;
const LARGEST_KEY: u64 = 64 << 10;
const MAKE: &str = "`wcgi keygen FILE` makes a pair, and so does `openssl genpkey -algorithm ed25519`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_that_signed_verifies_and_only_that_digest() {
        let folder = tempfile::tempdir().unwrap();
        let [mine, other] = ["mine", "other"].map(|name| folder.path().join(name));
        let public = SigningKey::generate(&mine).unwrap();
        SigningKey::generate(&other).unwrap();
        let digest = Digest::of(b"a package");
        let mut signature = SigningKey::read(&mine).unwrap().sign(&digest);

        let [mine, other] = [public, other].map(|file| VerifyingKey::read(&file).unwrap());
        assert!(mine.has_signed(&digest, &signature));
        assert!(!other.has_signed(&digest, &signature));
        assert!(!mine.has_signed(&Digest::of(b"another"), &signature));
        assert!(!mine.has_signed(&digest, &signature[..63]));
        signature[0] ^= 1;
        assert!(!mine.has_signed(&digest, &signature));
    }

    #[test]
    fn a_key_of_openssl_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        // RFC 8410 §10.3: a private key, and §10.1 its public key.
        let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        fs::write(&file, private).unwrap();
        let signature = SigningKey::read(&file).unwrap().sign(&Digest::of(b""));
        let of_private = VerifyingKey::read(&file).unwrap();
        fs::write(&file, public).unwrap();
        assert_eq!(VerifyingKey::read(&file).unwrap(), of_private);
        assert!(of_private.has_signed(&Digest::of(b""), &signature));
        fs::write(&file, "no key").unwrap();
        assert!(VerifyingKey::read(&file).unwrap_err().hint().is_some());
        assert!(SigningKey::read(&file).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_private_key_is_its_owners_alone_and_nothing_is_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        SigningKey::generate(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let before = fs::read(&file).unwrap();
        SigningKey::generate(&file).unwrap_err();
        fs::remove_file(folder.path().join("key.pub")).unwrap();
        SigningKey::generate(&file).unwrap_err();
        assert_eq!(fs::read(&file).unwrap(), before);
    }
}
