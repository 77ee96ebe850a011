//! What scripts are measured against: handlers of the same process that do the same without a guest.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/native", get(async || "Hello, World!\n"))
        .route("/native/out/{bytes}", get(out))
        .route("/native/in", post(count))
}

/// That many bytes, as they come: no copy is made of them, and no length said.
async fn out(Path(bytes): Path<u64>) -> Body {
    let block = Bytes::from(vec![b'a'; BLOCK]);
    let chunks = stream::unfold((bytes, block), async |(left, block)| {
        let len = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
        (len > 0).then(|| (Ok::<_, std::io::Error>(block.slice(..len)), (left - len as u64, block)))
    });
    Body::from_stream(chunks)
}

/// Reads the request's body to its end and says how long it was.
async fn count(body: Body) -> Result<String, StatusCode> {
    let mut stream = body.into_data_stream();
    let mut bytes = 0;
    while let Some(chunk) = stream.next().await {
        bytes += chunk.map_err(|_| StatusCode::BAD_REQUEST)?.len();
    }
    Ok(format!("bytes={bytes}\n"))
}

const BLOCK: usize = 64 << 10;
