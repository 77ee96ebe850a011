// A guest book as a CGI program: the request is in the environment and on stdin, the answer goes to stdout.

import * as std from "qjs:std";
import { addEntry, readEntries } from "./entries.mjs";
import { decodeForm, encode, html } from "./text.mjs";

const MAX_BODY = 16 * 1024;
const MAX_NAME = 100;
const MAX_MESSAGE = 1000;

const env = std.getenviron();

// The URL path of the guest book itself, wherever the host has mounted it.
const base = `${encodeURI(env.SCRIPT_NAME ?? "")}/`;

// An answer for whoever asked; any other error is answered 500.
class Failure extends Error {
  constructor(status, message, headers = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

function route() {
  const method = env.REQUEST_METHOD === "HEAD" ? "GET" : env.REQUEST_METHOD; // the host leaves out the body
  const path = env.PATH_INFO || "/";
  const id = path.match(/^\/entries\/(\d+)$/)?.[1];
  if (path === "/") {
    if (method === "GET") return list();
    if (method === "POST") return sign();
    throw notAllowed("GET, HEAD, POST");
  }
  if (id !== undefined) {
    if (method === "GET") return show(Number(id));
    throw notAllowed("GET, HEAD");
  }
  throw new Failure("404 Not Found", "there is nothing here");
}

const notAllowed = (allow) =>
  new Failure("405 Method Not Allowed", `this can only be asked with ${allow}`, { Allow: allow });

function list() {
  const entries = readEntries();
  const content = html`<ul>
${entries.map(item)}</ul>
<form method="post" action="${base}">
<p><label>Your name <input name="name" value="${cookie("name")}" maxlength="${MAX_NAME}" required></label></p>
<p><label>Your message <textarea name="message" maxlength="${MAX_MESSAGE}" required></textarea></label></p>
<p><button>Sign</button></p>
</form>
`;
  respondAsAsked("200 OK", { entries }, "Guest book", content);
}

function show(id) {
  const entry = readEntries()[id - 1];
  if (!entry) throw new Failure("404 Not Found", `there is no entry ${id}`);
  respondAsAsked("200 OK", entry, `Entry ${id}`, html`<ul>\n${item(entry)}</ul>\n${link}`);
}

function sign() {
  const mediaType = (env.CONTENT_TYPE ?? "").split(";")[0].trim().toLowerCase();
  if (mediaType !== "application/x-www-form-urlencoded") {
    throw new Failure("415 Unsupported Media Type", "send the form URL-encoded");
  }
  const length = Number(env.CONTENT_LENGTH ?? 0);
  if (length > MAX_BODY) throw new Failure("413 Content Too Large", "that is too much");

  const form = readForm(length);
  const name = field(form, "name", MAX_NAME);
  const message = field(form, "message", MAX_MESSAGE);
  addEntry(name, message);
  const setCookie = `name=${encode(name)}; Path=${base}; HttpOnly; SameSite=Lax`;
  respond("303 See Other", { Location: base, "Set-Cookie": setCookie }, "");
}

function readForm(length) {
  try {
    return decodeForm(std.in.readAsString(length));
  } catch (error) {
    throw new Failure("400 Bad Request", `this is no form: ${error.message}`);
  }
}

function field(form, name, max) {
  const value = (form.get(name) ?? "").trim();
  if (value === "") throw new Failure("400 Bad Request", `the ${name} is missing`);
  if ([...value].length > max) throw new Failure("400 Bad Request", `the ${name} is longer than ${max} characters`);
  return value;
}

function cookie(name) {
  const pair = (env.HTTP_COOKIE ?? "").split(/;\s*/).find((pair) => pair.startsWith(`${name}=`)) ?? "";
  try {
    return decodeForm(pair).get(name) ?? "";
  } catch {
    return "";
  }
}

const item = ({ id, name, message }) => html`<li id="entry-${id}"><strong>${name}</strong>: ${message}</li>\n`;

const link = html`<p><a href="${base}">The guest book</a></p>\n`;

// Answers as JSON who wants that, and with a page everybody else.
function respondAsAsked(status, value, title, content, headers = {}) {
  const asJson = (env.HTTP_ACCEPT ?? "").includes("application/json");
  const page = html`<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<h1>${title}</h1>
${content}</html>
`;
  const contentType = asJson ? "application/json" : "text/html; charset=utf-8";
  respond(status, { ...headers, "Content-Type": contentType, Vary: "Accept" }, asJson ? JSON.stringify(value) : page);
}

function respond(status, headers, body) {
  const lines = Object.entries({ Status: status, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  std.out.puts(`${lines.join("")}\r\n${body}`);
}

try {
  route();
} catch (error) {
  let failure = error;
  if (!(error instanceof Failure)) {
    std.err.puts(`${error}\n${error.stack}`);
    failure = new Failure("500 Internal Server Error", "the guest book is out of order");
  }
  const { status, message, headers } = failure;
  respondAsAsked(status, { error: message }, status.slice(4), html`<p>${message}</p>\n${link}`, headers);
}
