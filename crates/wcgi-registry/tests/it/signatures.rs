//! Packages that somebody has signed.

use wcgi_registry::{ErrorKind, Options, SigningKey, VerifyingKey};

use crate::server::Server;
use crate::{Machine, blog, reference};

#[test]
fn only_what_a_key_has_signed_passes_it() {
    let storage = tempfile::tempdir().unwrap();
    let mut server = Server::start(storage.path());
    let keys = tempfile::tempdir().unwrap();
    let [mine, other] = ["mine", "other"].map(|name| {
        let file = keys.path().join(name);
        let public = SigningKey::generate(&file).unwrap();
        (SigningKey::read(&file).unwrap(), VerifyingKey::read(&public).unwrap())
    });
    let name = reference(&server.name("me/blog:1"));
    let by = |keys: &[&VerifyingKey]| Options::new().verify(keys.iter().map(|key| (*key).clone()));
    let refused = |keys: &[&VerifyingKey]| {
        let error = Machine::new().with(by(keys)).pull(&name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Signature, "{error}");
        error.to_string()
    };

    let publisher = Machine::new();
    publisher.registry().push(blog("one").path(), &name, None).unwrap();
    assert!(refused(&[&mine.1]).contains("no signature"));
    publisher.registry().push(blog("one").path(), &name, Some(&other.0)).unwrap();
    let why = refused(&[&mine.1]);
    assert!(why.contains("another's"), "{why}");
    publisher.registry().push(blog("one").path(), &name, Some(&mine.0)).unwrap();
    publisher.registry().push(blog("one").path(), &name, Some(&mine.0)).unwrap();
    let machine = Machine::new();
    machine.with(by(&[&mine.1])).pull(&name).unwrap();
    Machine::new().with(by(&[&other.1])).pull(&name).unwrap();

    // What is signed is this version.
    publisher.registry().push(blog("two").path(), &name, None).unwrap();
    refused(&[&mine.1, &other.1]);
    machine.with(by(&[&mine.1])).pull(&name).unwrap_err();
    publisher.registry().push(blog("one").path(), &name, None).unwrap();
    machine.with(by(&[&mine.1])).pull(&name).unwrap();

    server.kill();
    machine.with(by(&[&mine.1])).pull(&name).unwrap();
    let error = machine.with(by(&[&other.1])).pull(&name);
    // It has been seen with the other one's signature, too.
    error.unwrap();
}
