//! A script that makes calls with any arguments, in the library as it is.

#[path = "../../../../tests/src/calls.rs"]
mod script;

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::runtime::Runtime;
use tower_wcgi::{Access, Engine, ErrorKind, WcgiService};

/// Whatever numbers it gives, no call ends the script: it has nothing that could trap by itself.
pub fn calls(data: &[u8]) {
    static SERVICE: LazyLock<(tempfile::TempDir, Runtime, WcgiService)> = LazyLock::new(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (module, mount) = (dir.path().join("calls.wat"), dir.path().join("d"));
        std::fs::write(&module, script::script()).expect("there is room");
        std::fs::create_dir(&mount).expect("there is room");
        let engine = Engine::builder().max_concurrency(2).no_cache().build().expect("an engine");
        let service = WcgiService::builder()
            .package(module)
            .engine(engine)
            .map_dir("/d", mount, Access::ReadWrite)
            // Nobody is there, and nobody else is asked.
            .net("a.txt:1=unix:/nobody-is-here".parse().expect("a rule"))
            .deadline(Duration::from_millis(200));
        (dir, Runtime::new().expect("a runtime"), service.build().expect("a service"))
    });
    let (dir, runtime, service) = &*SERVICE;
    // It may have renamed or removed it.
    std::fs::write(dir.path().join("d/a.txt"), "abc").ok();
    let request =
        Request::post("/").body(Full::<Bytes>::from(script::body(&script::records(data)))).expect("a valid request");
    let ended = runtime.block_on(async {
        match service.try_call(request).await {
            Ok(response) => response.into_body().collect().await.map(drop),
            Err(error) => Err(error),
        }
    });
    if let Err(error) = ended {
        use ErrorKind::{DeadlineExceeded, MalformedResponse, NoResponse};
        assert!(matches!(error.kind(), NoResponse | MalformedResponse | DeadlineExceeded), "{error:?}");
    }
}
