"""A guest book: a WSGI application, run as a CGI program. Entries are rows of a SQLite database."""

import json
import re
import sqlite3
import traceback
from contextlib import closing
from html import escape
from http import HTTPStatus
from urllib.parse import parse_qs, quote, quote_plus, unquote_plus
from wsgiref.handlers import CGIHandler

DATABASE = "/data/guestbook.sqlite"
MAX_BODY = 16 * 1024
MAX_NAME = 100
MAX_MESSAGE = 1000


class Refused(Exception):
    """What the client asked for that it does not get, and why."""

    def __init__(self, status, reason, headers=()):
        super().__init__(reason)
        self.status = status
        self.headers = list(headers)


def application(environ, start_response):
    headers = []
    try:
        status, data, html = route(environ, headers)
    except Refused as refused:
        headers.extend(refused.headers)
        status, data, html = error(refused.status, str(refused))
    except Exception:
        traceback.print_exc(file=environ["wsgi.errors"])
        status, data, html = error(HTTPStatus.INTERNAL_SERVER_ERROR, "the guest book is out of order")

    if "application/json" in environ.get("HTTP_ACCEPT", ""):
        content_type, body = "application/json", json.dumps(data, ensure_ascii=False)
    else:
        content_type, body = "text/html; charset=utf-8", html
    headers += [("Content-Type", content_type), ("Vary", "Accept")]
    start_response(f"{status.value} {status.phrase}", headers)
    return [body.encode()]


def route(environ, headers):
    """The answer as (status, what JSON says, what HTML says); what `headers` gets goes before it."""
    method = environ["REQUEST_METHOD"]
    path = environ.get("PATH_INFO", "")
    if path in ("", "/"):
        if method == "POST":
            return sign(environ, headers)
        allow(method, "GET, HEAD, POST")
        return show_all(environ)
    if path.startswith("/entries/"):
        allow(method, "GET, HEAD")
        return show_one(environ, path.removeprefix("/entries/"))
    raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")


def allow(method, methods):
    if method not in methods.split(", "):
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"only {methods}", [("Allow", methods)])


def show_all(environ):
    with closing(open_book()) as book:
        entries = [dict(row) for row in book.execute("SELECT id, name, message FROM entry ORDER BY id")]
    content = f"""\
<ul>
{"".join(map(item, entries))}</ul>
<form method="post" action="{base(environ)}">
<p><label>Name <input name="name" value="{escape(cookie(environ, "name"))}" maxlength="{MAX_NAME}" required></label></p>
<p><label>Message <textarea name="message" maxlength="{MAX_MESSAGE}" required></textarea></label></p>
<p><button>Sign</button></p>
</form>"""
    return HTTPStatus.OK, {"entries": entries}, page("Guest book", content)


def show_one(environ, number):
    row = None
    if re.fullmatch("[1-9][0-9]{0,17}", number, re.ASCII):
        with closing(open_book()) as book:
            row = book.execute("SELECT id, name, message FROM entry WHERE id = ?", [int(number)]).fetchone()
    if row is None:
        raise Refused(HTTPStatus.NOT_FOUND, f"there is no entry {number}")
    content = f"""<ul>\n{item(row)}</ul>\n<p><a href="{base(environ)}">All entries</a></p>"""
    return HTTPStatus.OK, dict(row), page("Guest book", content)


def sign(environ, headers):
    content_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send a form, URL-encoded")
    body = environ["wsgi.input"].read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "that is too much for a guest book")
    try:
        form = parse_qs(body.decode(), errors="strict")
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "that is not a form in UTF-8") from None
    name = required(form, "name", MAX_NAME)
    message = required(form, "message", MAX_MESSAGE)

    with closing(open_book()) as book, book:
        book.execute("INSERT INTO entry (name, message) VALUES (?, ?)", [name, message])
    headers.append(("Location", base(environ)))
    headers.append(("Set-Cookie", f"name={quote_plus(name)}; Path={base(environ)}; HttpOnly; SameSite=Lax"))
    return HTTPStatus.SEE_OTHER, {}, page("Thank you", f"""<p><a href="{base(environ)}">All entries</a></p>""")


def required(form, name, limit):
    value = form.get(name, [""])[0].strip()
    if not 1 <= len(value) <= limit:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the {name} must be text of 1 to {limit} characters")
    return value


def open_book():
    book = sqlite3.connect(DATABASE)
    book.row_factory = sqlite3.Row
    book.execute(
        "CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, name TEXT NOT NULL, message TEXT NOT NULL)"
    )
    return book


def base(environ):
    # WSGI hands over bytes as Latin-1.
    return quote(environ.get("SCRIPT_NAME", ""), encoding="latin-1") + "/"


def cookie(environ, name):
    for pair in environ.get("HTTP_COOKIE", "").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return unquote_plus(value)
    return ""


def error(status, reason):
    return status, {"error": reason}, page(status.phrase, f"<p>{escape(reason)}</p>")


def item(entry):
    return f"""<li id="entry-{entry["id"]}"><strong>{escape(entry["name"])}</strong>: {escape(entry["message"])}</li>\n"""


def page(title, content):
    return f"""\
<!doctype html>
<html lang="en">
<title>{title}</title>
<h1>{title}</h1>
{content}
"""


if __name__ == "__main__":
    CGIHandler().run(application)
