"""A guest book: a Flask application, run as a CGI program. Entries are rows of a SQLite database."""

import sqlite3
from urllib.parse import quote_plus, unquote_plus
from wsgiref.handlers import CGIHandler

from flask import Flask, abort, g, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException, MethodNotAllowed

MAX_NAME = 100
MAX_MESSAGE = 1000

app = Flask(__name__)
app.config.update(DATABASE="/data/guestbook.sqlite", MAX_CONTENT_LENGTH=16 * 1024, PROVIDE_AUTOMATIC_OPTIONS=False)


@app.get("/", strict_slashes=False)
def show_all():
    entries = [dict(row) for row in book().execute("SELECT id, name, message FROM entry ORDER BY id")]
    if wants_json():
        return {"entries": entries}
    name = unquote_plus(request.cookies.get("name", ""))
    return render_template("all.html", entries=entries, name=name, max_name=MAX_NAME, max_message=MAX_MESSAGE)


@app.get("/entries/<int(max=999999999999):id>")
def show_one(id):
    entry = book().execute("SELECT id, name, message FROM entry WHERE id = ?", [id]).fetchone()
    if entry is None:
        abort(404, f"there is no entry {id}")
    return dict(entry) if wants_json() else render_template("one.html", entry=entry)


@app.post("/", strict_slashes=False)
def sign():
    if request.mimetype != "application/x-www-form-urlencoded":
        abort(415, "send a form, URL-encoded")
    name = required("name", MAX_NAME)
    message = required("message", MAX_MESSAGE)

    with book():
        book().execute("INSERT INTO entry (name, message) VALUES (?, ?)", [name, message])
    response = redirect(url_for("show_all"), 303)
    response.set_cookie("name", quote_plus(name), path=url_for("show_all"), httponly=True, samesite="Lax")
    return response


def required(field, limit):
    value = request.form.get(field, "").strip()
    if not 1 <= len(value) <= limit:
        abort(400, f"the {field} must be text of 1 to {limit} characters")
    return value


def book():
    if "book" not in g:
        g.book = sqlite3.connect(app.config["DATABASE"])
        g.book.row_factory = sqlite3.Row
        g.book.execute(
            "CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, name TEXT NOT NULL, message TEXT NOT NULL)"
        )
    return g.book


@app.teardown_appcontext
def close_book(_error):
    if "book" in g:
        g.book.close()


def wants_json():
    return "application/json" in request.headers.get("Accept", "")


@app.after_request
def vary(response):
    response.vary.add("Accept")
    return response


@app.errorhandler(HTTPException)
def show_error(error):
    body = {"error": error.description} if wants_json() else render_template("error.html", error=error)
    headers = {}
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return body, error.code, headers


if __name__ == "__main__":
    CGIHandler().run(app)
