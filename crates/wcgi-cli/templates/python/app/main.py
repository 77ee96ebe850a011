"""A WSGI application, run as a CGI program: each request is answered by a process of its own."""

from html import escape
from urllib.parse import parse_qs
from wsgiref.handlers import CGIHandler


def application(environ, start_response):
    query = parse_qs(environ.get("QUERY_STRING", ""))
    name = query.get("name", ["World"])[0]

    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [f"<!doctype html>\n<title>{{name}}</title>\n<h1>Hello, {escape(name)}!</h1>\n".encode()]


if __name__ == "__main__":
    CGIHandler().run(application)
