//! A registry that is killed in the middle.

use std::fs;
use std::sync::{Arc, Mutex};

use wcgi_registry::{ErrorKind, Reference};

use crate::proxy::{Proxy, Way};
use crate::server::Server;
use crate::{BLOG, MODULE, Machine, directory, read, reference};

/// Bytes that no compression makes less of.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(&mut next).take(bytes).collect()
}

/// A reference to the registry through a proxy that kills it after so many bytes.
fn through(server: Server, way: Way, bytes: usize) -> (Reference, Proxy) {
    let address = server.address.clone();
    let server = Arc::new(Mutex::new(Some(server)));
    let proxy = Proxy::start(&address, way, bytes, move || drop(server.lock().unwrap().take()));
    (reference(&format!("{}/me/blog:1", proxy.address)), proxy)
}

#[test]
fn in_the_middle_of_a_push_the_next_push_is_whole() {
    let storage = tempfile::tempdir().unwrap();
    let image = noise(8 << 20);
    let package = directory(&[("wasmer.toml", BLOG.as_bytes()), ("m.wasm", MODULE), ("app/image", &image)]);
    let machine = Machine::new();
    let (name, _proxy) = through(Server::start(storage.path()), Way::ToServer, 4 << 20);
    let error = machine.registry().push(package.path(), &name, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");

    let server = Server::start(storage.path());
    let name = reference(&server.name("me/blog:1"));
    assert_eq!(machine.registry().pull(&name).unwrap_err().kind(), ErrorKind::NotFound);
    machine.registry().push(package.path(), &name, None).unwrap();
    let (_elsewhere, pulled) = Machine::with_package(&name);
    assert_eq!(fs::read(pulled.path.join("app/image")).unwrap(), image);
}

#[test]
fn in_the_middle_of_a_pull_nothing_is_half_there() {
    let storage = tempfile::tempdir().unwrap();
    let image = noise(8 << 20);
    let package = directory(&[("wasmer.toml", BLOG.as_bytes()), ("m.wasm", MODULE), ("app/image", &image)]);
    let server = Server::start(storage.path());
    let pushed = Machine::new().registry().push(package.path(), &reference(&server.name("me/blog:1")), None).unwrap();

    let machine = Machine::new();
    let (name, _proxy) = through(server, Way::ToClient, 4 << 20);
    let error = machine.registry().pull(&name).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    let packages = fs::read_dir(machine.folder.path().join("store/packages")).unwrap();
    assert_eq!(packages.count(), 0);

    let server = Server::start(storage.path());
    let pulled = machine.registry().pull(&reference(&server.name("me/blog:1"))).unwrap();
    assert_eq!(pulled.digest, pushed.digest);
    assert_eq!(fs::read(pulled.path.join("app/image")).unwrap(), image);
    assert!(read(&pulled.path, "wasmer.toml").contains("app"));
}
