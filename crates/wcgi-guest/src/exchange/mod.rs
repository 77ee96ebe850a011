//! The one exchange of a process, from the environment and stdin to stdout and the exit status.
//!
//! It must not know what the handler does, or where the streams lead.

use std::error::Error;
use std::io::{self, Read, Write as _};
use std::process::ExitCode;

use http::{Request, Response};
use http_body::Body;

use crate::block_on::{Stalled, block_on};
use crate::body::RequestBody;
use crate::failure::Failure;
use crate::meta_variables::MetaVariables;
use crate::request;
use crate::response::Output;

/// Answers the request of these variables and this input.
pub(crate) fn run<F, B, E>(
    handler: F,
    variables: MetaVariables,
    input: impl Read + Send + 'static,
    output: impl io::Write,
) -> ExitCode
where
    F: AsyncFnOnce(Request<RequestBody>) -> Result<Response<B>, E>,
    E: Into<Box<dyn Error + Send + Sync>>,
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut output = Output::new(output);
    let result = block_on(answer(handler, variables, input, &mut output)).unwrap_or_else(|Stalled| {
        Err(Failure::new("the service waits for something that cannot happen: there is one thread, and no runtime"))
    });
    let Err(failure) = result else { return ExitCode::SUCCESS };
    // If stderr is closed, nobody reads it.
    let _ = writeln!(io::stderr(), "error: {failure}");
    output.refuse(failure.status);
    ExitCode::FAILURE
}

async fn answer<F, B, E>(
    handler: F,
    variables: MetaVariables,
    input: impl Read + Send + 'static,
    output: &mut Output<impl io::Write>,
) -> Result<(), Failure>
where
    F: AsyncFnOnce(Request<RequestBody>) -> Result<Response<B>, E>,
    E: Into<Box<dyn Error + Send + Sync>>,
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let request = request::read(variables, input)?;
    let method = request.method().clone();
    let response = handler(request).await.map_err(|error| Failure::new("the service failed").because(error))?;
    output.send(&method, response).await
}

#[cfg(test)]
mod tests;
