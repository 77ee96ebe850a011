// What was asked.

import { read } from "./files";
import { fail } from "./response";
import { decode, decodeForm } from "./text";

export function env(name: string): string {
  return process.env.has(name) ? process.env.get(name) : "";
}

// The URL path of the guest book itself, wherever the host has mounted it.
export const base = encodeURI(env("SCRIPT_NAME")) + "/";

// The fields of the form in the body, of at most so many bytes.
export function readForm(max: i32): Map<string, string> {
  const length = env("CONTENT_LENGTH") == "" ? 0 : I32.parseInt(env("CONTENT_LENGTH"));
  if (length > max) fail("413 Content Too Large", "that is too much");
  const body = new ArrayBuffer(length);
  let end = 0;
  while (end < length) {
    const count = read(0, body, end);
    if (count == 0) break;
    end += count;
  }
  return decodeForm(String.UTF8.decodeUnsafe(changetype<usize>(body), end));
}

export function cookie(name: string): string {
  const cookies = env("HTTP_COOKIE").split(";");
  for (let i = 0; i < cookies.length; i++) {
    const pair = cookies[i].trim();
    if (pair.startsWith(name + "=")) return decode(pair.substring(name.length + 1));
  }
  return "";
}
