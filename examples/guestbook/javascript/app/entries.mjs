// What people have left: in a file with one entry a line, URL-encoded as in the form.

import * as std from "qjs:std";
import { decodeForm, encode } from "./text.mjs";

const FILE = "/data/entries";

// All entries, the oldest first.
export function readEntries() {
  const failure = {};
  const file = std.open(FILE, "r", failure);
  if (!file) {
    if (failure.errno === std.Error.ENOENT) return [];
    throw cannot("read", failure.errno);
  }
  const lines = file.readAsString().split("\n").slice(0, -1);
  file.close();
  return lines.map((line, index) => {
    const form = decodeForm(line);
    return { id: index + 1, name: form.get("name"), message: form.get("message") };
  });
}

// Appends with a single write, which other requests at the same moment cannot tear apart.
export function addEntry(name, message) {
  const failure = {};
  const file = std.open(FILE, "a", failure);
  if (!file) throw cannot("open", failure.errno);
  file.puts(`name=${encode(name)}&message=${encode(message)}\n`);
  file.flush();
  const failed = file.error();
  file.close();
  if (failed) throw new Error(`cannot write ${FILE}`);
}

const cannot = (what, errno) => new Error(`cannot ${what} ${FILE}: ${std.strerror(errno)}`);
