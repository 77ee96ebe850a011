//! Packages of one module beside each other: none gets what another's start-up has kept.

use tower_wcgi::{Access, WcgiService};
use wcgi_tests::get;

use super::Scene;

/// All in one cache and in one engine, and each of them twice: made, then found.
#[tokio::test]
async fn each_package_has_its_own_snapshot() {
    let scene = Scene::new();
    scene.write("e/a", "beta");
    let (module, engine) = (scene.module("shared"), scene.engine());
    for _ in 0..2 {
        for (directory, start, kept) in [("d", "file", "alpha"), ("e", "file", "beta"), ("d", "nothing", "")] {
            let service = WcgiService::builder()
                .package(&module)
                .engine(engine.clone())
                .map_dir("/d", scene.0.path().join(directory), Access::ReadOnly)
                .env("START", start)
                .build()
                .unwrap();
            let reply = get(&service, "/").await;
            assert_eq!(reply.text(), format!("started={start}\nkept={kept}\n"), "{directory}");
        }
    }
    assert_eq!(scene.cached().len(), 4, "three, and the instrumented module");
}
