// A CGI program: the request is in the environment and on stdin, the answer goes to stdout.

import * as std from "qjs:std";

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

const escape = (text) => text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character]);

const decode = (text) => decodeURIComponent(text.replaceAll("+", " "));

function query(name) {
  const pairs = (std.getenv("QUERY_STRING") ?? "").split("&").map((pair) => pair.split("="));
  const value = pairs.find(([key]) => key === name)?.[1] ?? "";
  try {
    return decode(value);
  } catch {
    return value; // no UTF-8: as it was sent
  }
}

const name = escape(query("name") || "World");
std.out.puts(`Content-Type: text/html; charset=utf-8\r
\r
<!doctype html>
<title>${name}</title>
<h1>Hello, ${name}!</h1>
<form>Who are you? <input name="name"> <button>Greet me</button></form>
`);
