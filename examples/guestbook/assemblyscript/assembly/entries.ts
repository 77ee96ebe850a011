// What people have left: in a file with one entry a line, URL-encoded as in the form.

import { appendToFile, readFile } from "./files";
import { decodeForm } from "./text";

export class Entry {
  constructor(
    public id: i32,
    public name: string,
    public message: string,
  ) {}
}

// All entries, the oldest first.
export function readEntries(): Entry[] {
  const lines = readFile("/data", "entries").split("\n");
  const entries = new Array<Entry>();
  for (let i = 0; i < lines.length - 1; i++) {
    const fields = decodeForm(lines[i]);
    entries.push(new Entry(i + 1, fields.get("name"), fields.get("message")));
  }
  return entries;
}

export function addEntry(name: string, message: string): void {
  appendToFile("/data", "entries", `name=${encodeURIComponent(name)}&message=${encodeURIComponent(message)}\n`);
}
