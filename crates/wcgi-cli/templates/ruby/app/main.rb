# A CGI program: the request comes in environment variables and on stdin, the answer goes to stdout, head first.

require "cgi"

name = CGI.parse(ENV.fetch("QUERY_STRING", ""))["name"].first.to_s.scrub
name = "World" if name.empty?

print <<~PAGE
  Content-Type: text/html; charset=utf-8

  <!doctype html>
  <title>{{name}}</title>
  <h1>Hello, #{CGI.escape_html(name)}!</h1>
PAGE
