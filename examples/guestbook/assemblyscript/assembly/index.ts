// A guest book as a CGI program: the request is in the environment and on stdin, the answer goes to stdout.

import { Entry, addEntry, readEntries } from "./entries";
import { base, cookie, env, readForm } from "./request";
import { fail, link, notAllowed, respond, respondAsAsked } from "./response";
import { escape, json } from "./text";

const MAX_BODY = 16 * 1024;
const MAX_NAME = 100;
const MAX_MESSAGE = 1000;

function route(): void {
  const method = env("REQUEST_METHOD") == "HEAD" ? "GET" : env("REQUEST_METHOD"); // the host leaves out the body
  const path = env("PATH_INFO");
  if (path == "" || path == "/") {
    if (method == "GET") return list();
    if (method == "POST") return sign();
    notAllowed("GET, HEAD, POST");
  }
  if (path.startsWith("/entries/")) {
    const id = entryId(path.substring("/entries/".length));
    if (method == "GET") return show(id);
    notAllowed("GET, HEAD");
  }
  fail("404 Not Found", "there is nothing here");
}

function entryId(digits: string): i32 {
  let id: i64 = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(i) - 48; // "0"
    if (digit < 0 || digit > 9 || id > i32.MAX_VALUE / 10) fail("404 Not Found", "there is nothing here");
    id = id * 10 + digit;
  }
  return i32(min(id, i32.MAX_VALUE));
}

function list(): void {
  const entries = readEntries();
  const form = `<form method="post" action="${base}">
<p><label>Your name <input name="name" value="${escape(cookie("name"))}" maxlength="${MAX_NAME}" required></label></p>
<p><label>Your message <textarea name="message" maxlength="${MAX_MESSAGE}" required></textarea></label></p>
<p><button>Sign</button></p>
</form>
`;
  respondAsAsked(
    "200 OK",
    `{"entries":[${entries.map<string>((entry) => entryJson(entry)).join(",")}]}`,
    "Guest book",
    `<ul>\n${entries.map<string>((entry) => entryHtml(entry)).join("")}</ul>\n${form}`,
  );
}

function show(id: i32): void {
  const entries = readEntries();
  if (id < 1 || id > entries.length) fail("404 Not Found", `there is no entry ${id}`);
  const entry = entries[id - 1];
  respondAsAsked("200 OK", entryJson(entry), `Entry ${id}`, `<ul>\n${entryHtml(entry)}</ul>\n${link}`);
}

function sign(): void {
  const mediaType = env("CONTENT_TYPE").split(";")[0].trim().toLowerCase();
  if (mediaType != "application/x-www-form-urlencoded") {
    fail("415 Unsupported Media Type", "send the form URL-encoded");
  }
  const form = readForm(MAX_BODY);
  const name = field(form, "name", MAX_NAME);
  const message = field(form, "message", MAX_MESSAGE);
  addEntry(name, message);
  const setCookie = `name=${encodeURIComponent(name)}; Path=${base}; HttpOnly; SameSite=Lax`;
  respond("303 See Other", `Location: ${base}\r\nSet-Cookie: ${setCookie}\r\n`, "");
}

function field(form: Map<string, string>, name: string, max: i32): string {
  const value = form.has(name) ? form.get(name).trim() : "";
  if (value == "") fail("400 Bad Request", `the ${name} is missing`);
  if (characters(value) > max) {
    fail("400 Bad Request", `the ${name} is longer than ${max} characters`);
  }
  return value;
}

function characters(text: string): i32 {
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    if ((text.charCodeAt(i) & 0xfc00) != 0xdc00) count++; // all but the second halves of pairs
  }
  return count;
}

function entryJson(entry: Entry): string {
  return `{"id":${entry.id},"name":${json(entry.name)},"message":${json(entry.message)}}`;
}

function entryHtml(entry: Entry): string {
  return `<li id="entry-${entry.id}"><strong>${escape(entry.name)}</strong>: ${escape(entry.message)}</li>\n`;
}

route();
