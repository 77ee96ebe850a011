// The little of WASI's files that the guest book needs. What fails ends the program with status 500.

import {
  errno,
  errnoToString,
  fd,
  fdflags,
  fd_close,
  fd_prestat_dir_name,
  fd_prestat_get,
  fd_read,
  fd_write,
  oflags,
  path_open,
  prestat,
  rights,
} from "@assemblyscript/wasi-shim/assembly/bindings/wasi_snapshot_preview1";
import { outOfOrder } from "./response";

// Where WASI finds small arguments and leaves results.
const scratch = memory.data(16);

const MISSING: fd = u32.MAX_VALUE;

// The whole file; nothing when there is none.
export function readFile(directory: string, name: string): string {
  const file = open(directory, name, 0, rights.FD_READ, 0);
  if (file == MISSING) return "";
  let content = new ArrayBuffer(64 * 1024);
  let end = 0;
  for (;;) {
    const count = read(file, content, end);
    if (count == 0) break;
    end += count;
    if (end == content.byteLength) {
      const larger = new ArrayBuffer(2 * end);
      memory.copy(changetype<usize>(larger), changetype<usize>(content), end);
      content = larger;
    }
  }
  fd_close(file);
  return String.UTF8.decodeUnsafe(changetype<usize>(content), end);
}

// Appends with a single write, which other requests at the same moment cannot tear apart.
export function appendToFile(directory: string, name: string, text: string): void {
  const file = open(directory, name, oflags.CREAT, rights.FD_WRITE, fdflags.APPEND);
  const bytes = String.UTF8.encode(text);
  if (write(file, bytes, 0) < bytes.byteLength) outOfOrder(`cannot write all of ${directory}/${name}`);
  check(fd_close(file), `cannot write ${directory}/${name}`);
}

// Reads into the buffer from `start` on, and returns how many bytes: none at the end.
export function read(file: fd, buffer: ArrayBuffer, start: i32): i32 {
  store<usize>(scratch, changetype<usize>(buffer) + start);
  store<usize>(scratch, buffer.byteLength - start, 4);
  check(fd_read(file, scratch, 1, scratch + 8), "cannot read");
  return load<i32>(scratch, 8);
}

// Writes the buffer from `start` on, and returns how many bytes the host has taken.
export function write(file: fd, buffer: ArrayBuffer, start: i32): i32 {
  store<usize>(scratch, changetype<usize>(buffer) + start);
  store<usize>(scratch, buffer.byteLength - start, 4);
  check(fd_write(file, scratch, 1, scratch + 8), "cannot write");
  return load<i32>(scratch, 8);
}

// MISSING for a file that is not there.
function open(directory: string, name: string, how: oflags, right: rights, flags: fdflags): fd {
  const path = String.UTF8.encode(name);
  const error = path_open(
    preopened(directory), 0, changetype<usize>(path), path.byteLength, how, right, 0, flags, scratch,
  );
  if (error == errno.NOENT) return MISSING;
  check(error, `cannot open ${directory}/${name}`);
  return load<fd>(scratch);
}

// The host hands over its directories as descriptors from 3 on.
function preopened(directory: string): fd {
  for (let file: fd = 3; fd_prestat_get(file, changetype<prestat>(scratch)) == errno.SUCCESS; file++) {
    const name = new ArrayBuffer(load<i32>(scratch, 4));
    check(fd_prestat_dir_name(file, changetype<usize>(name), name.byteLength), "cannot find the directories");
    if (String.UTF8.decode(name) == directory) return file;
  }
  outOfOrder(`there is no ${directory}`);
  return MISSING;
}

function check(error: errno, what: string): void {
  if (error != errno.SUCCESS) outOfOrder(`${what}: ${errnoToString(error)}`);
}
