//! A guest book as a CGI program (RFC 3875): one request, described by environment variables, its body on stdin; the
//! response goes to stdout.

mod book;
mod form;
mod page;
mod problem;

use std::env;
use std::io::{self, Read as _, Write as _};

use problem::Problem;

fn main() -> io::Result<()> {
    answer().unwrap_or_else(show_problem).write()
}

/// Finds what the path stands for, then does what the method says.
fn answer() -> Result<Response, Problem> {
    let (method, path) = (variable("REQUEST_METHOD"), variable("PATH_INFO"));
    match (path.as_str(), method.as_str()) {
        ("" | "/", "GET" | "HEAD") => list(),
        ("" | "/", "POST") => sign(),
        ("" | "/", _) => Err(Problem::wrong_method("GET, HEAD, POST")),
        (path, method) => match path.strip_prefix("/entries/") {
            Some(id) if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) => match method {
                "GET" | "HEAD" => show(id),
                _ => Err(Problem::wrong_method("GET, HEAD")),
            },
            _ => Err(Problem::new("404 Not Found", "there is nothing here")),
        },
    }
}

fn list() -> Result<Response, Problem> {
    let entries = book::read()?;
    Ok(if wants_json() {
        Response::json("200 OK", page::json_entries(&entries))
    } else {
        let name = form::value_of(variable("HTTP_COOKIE").split(';').map(str::trim), "name").unwrap_or_default();
        Response::html("200 OK", page::html_entries(&entries, &base(), &name))
    })
}

fn show(id: &str) -> Result<Response, Problem> {
    let entries = book::read()?;
    // What is too large for a number is not the number of an entry.
    let entry = id.parse().ok().and_then(|id: usize| entries.get(id.checked_sub(1)?));
    let entry = entry.ok_or_else(|| Problem::new("404 Not Found", format!("there is no entry {id}")))?;
    Ok(if wants_json() {
        Response::json("200 OK", page::json_entry(entry))
    } else {
        Response::html("200 OK", page::html_entry(entry, &base()))
    })
}

fn sign() -> Result<Response, Problem> {
    let body = read_form()?;
    let field = |field| form::value_of(body.split('&'), field).unwrap_or_default().trim().to_owned();
    let (name, message) = (field("name"), field("message"));
    if name.is_empty() || message.is_empty() {
        return Err(Problem::new("400 Bad Request", "a name and a message are needed"));
    }
    if name.chars().count() > 100 || message.chars().count() > 1000 {
        return Err(Problem::new("400 Bad Request", "a name has at most 100 characters, a message 1000"));
    }
    book::append(&name, &message)?;

    let cookie = format!("name={}; Path={}/; HttpOnly; SameSite=Lax", form::encode(&name), base());
    let headers = vec![("Location", format!("{}/", base())), ("Set-Cookie", cookie)];
    Ok(Response { status: "303 See Other", headers, body: String::new() })
}

/// The body of the request, if it is a form.
fn read_form() -> Result<String, Problem> {
    let content_type = variable("CONTENT_TYPE");
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Problem::new("415 Unsupported Media Type", "an entry comes as a URL-encoded form"));
    }
    let length: usize = variable("CONTENT_LENGTH").parse().unwrap_or(0);
    if length > 16 << 10 {
        return Err(Problem::new("413 Content Too Large", "a form has at most 16 KiB"));
    }
    let mut body = vec![0; length];
    io::stdin().read_exact(&mut body).map_err(|_| Problem::new("400 Bad Request", "the form ends too early"))?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn show_problem(problem: Problem) -> Response {
    let mut response = if wants_json() {
        Response::json(problem.status, page::json_problem(&problem))
    } else {
        Response::html(problem.status, page::html_problem(&problem))
    };
    response.headers.extend(problem.allow.map(|allow| ("Allow", allow.to_owned())));
    response
}

/// Where the program is mounted, as it stands in URLs.
fn base() -> String {
    form::encode_path(&variable("SCRIPT_NAME"))
}

fn wants_json() -> bool {
    variable("HTTP_ACCEPT").contains("application/json")
}

fn variable(name: &str) -> String {
    env::var_os(name).unwrap_or_default().to_string_lossy().into_owned()
}

struct Response {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Response {
    fn html(status: &'static str, body: String) -> Self {
        Self::negotiated(status, "text/html; charset=utf-8", body)
    }

    fn json(status: &'static str, body: String) -> Self {
        Self::negotiated(status, "application/json", body)
    }

    fn negotiated(status: &'static str, content_type: &str, body: String) -> Self {
        let headers = vec![("Content-Type", content_type.to_owned()), ("Vary", "Accept".to_owned())];
        Self { status, headers, body }
    }

    fn write(&self) -> io::Result<()> {
        let mut text = format!("Status: {}\r\n", self.status);
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        if variable("REQUEST_METHOD") != "HEAD" {
            text.push_str(&self.body);
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}
