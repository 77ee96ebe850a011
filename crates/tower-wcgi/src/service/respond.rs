//! From a request to a response: the straight line through all the other modules.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};

use super::answer;
use super::asked::Asked;
use crate::body::ResponseBody;
use crate::engine::Permit;
use crate::error::{Error, ErrorKind};
use crate::exchange::Exchange;
use crate::gateway::{Head, HeadParser, Progress};
use crate::observe::{ExchangeInfo, ExchangeState};
use crate::release::Release;
use crate::site::Route;
use crate::stdio::BoxBody;

/// Answers `request`, or gives the error.
pub(super) async fn respond(
    release: Arc<Release>,
    info: &ExchangeInfo,
    request: Request<BoxBody>,
) -> Result<Response<ResponseBody>, Error> {
    let (mut asked, mut body) = Asked::of(&release, info, request)?;
    for _hop in 0..=MAX_LOCAL_REDIRECTS {
        let script = match asked.route().await? {
            Some(Route::File(file)) => return answer::file(&asked, *file),
            Some(Route::Directory) => return Ok(answer::directory(&asked)),
            Some(Route::Script(script)) => Some(script),
            None => None,
        };
        let (stdin, content_length) = asked.take_in(body.take()).await?;
        let environ = asked.environ(script, content_length)?;
        let permit = admitted(&asked).await?;
        let ready = asked.within(release.start.current()).await?;
        let mut exchange = Exchange::start(&release.engine, asked.setup(&ready, environ, stdin), permit);
        match read_head(&mut exchange).await.map_err(|error| exchange.logged(error))? {
            (Head::Response(head), rest) => return answer::script(&asked, head, rest, exchange).await,
            (Head::LocalRedirect(location), _) => {
                exchange.let_go_on();
                asked.redirect(&location)?;
            }
        }
    }
    let message = format!("the script redirected locally more than {MAX_LOCAL_REDIRECTS} times");
    Err(Error::new(ErrorKind::MalformedResponse, message))
}

async fn admitted(asked: &Asked<'_>) -> Result<Permit, Error> {
    let since = Instant::now();
    asked.info.is_at(ExchangeState::Permit);
    let permit = asked.within(asked.release.engine.admit(&asked.release.tenant)).await;
    asked.info.has_permit(since);
    permit
}

async fn read_head(exchange: &mut Exchange) -> Result<(Head, Bytes), Error> {
    let mut parser = HeadParser::new();
    loop {
        match exchange.read().await {
            Some(chunk) => match parser.feed(chunk?)? {
                Progress::More => {}
                Progress::Head { head, rest } => {
                    exchange.answer_begun();
                    return Ok((head, rest));
                }
            },
            None => return Err(parser.end()),
        }
    }
}

const MAX_LOCAL_REDIRECTS: usize = 10;
