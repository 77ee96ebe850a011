// What is answered.

import { write } from "./files";
import { base, env } from "./request";
import { escape, json } from "./text";

export const link = `<p><a href="${base}">The guest book</a></p>\n`;

export function respond(status: string, headers: string, body: string): void {
  const bytes = String.UTF8.encode(`Status: ${status}\r\n${headers}\r\n${body}`);
  let start = 0;
  while (start < bytes.byteLength) start += write(1, bytes, start);
}

// Answers as JSON who wants that, and with a page everybody else.
export function respondAsAsked(status: string, value: string, title: string, content: string, headers: string = ""): void {
  headers += "Vary: Accept\r\n";
  if (env("HTTP_ACCEPT").includes("application/json")) {
    respond(status, headers + "Content-Type: application/json\r\n", value);
    return;
  }
  const page = `<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<h1>${title}</h1>
${content}</html>
`;
  respond(status, headers + "Content-Type: text/html; charset=utf-8\r\n", page);
}

// Answers and ends the program: there are no exceptions that could be caught.
export function fail(status: string, reason: string, headers: string = ""): void {
  const content = `<p>${escape(reason)}</p>\n${link}`;
  respondAsAsked(status, `{"error":${json(reason)}}`, status.substring(4), content, headers);
  process.exit(0);
}

export function notAllowed(allow: string): void {
  fail("405 Method Not Allowed", `this can only be asked with ${allow}`, `Allow: ${allow}\r\n`);
}

// As `fail`, for what is the fault of nobody outside; the reason is for the log.
export function outOfOrder(reason: string): void {
  process.stderr.write(reason + "\n");
  fail("500 Internal Server Error", "the guest book is out of order");
}
