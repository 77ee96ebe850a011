"""Makes the archive of the standard library: each module as source, for tracebacks, and as bytecode that is never checked
against it. Called with CPython's Lib, the archive to make, and modules to add."""

import importlib.util
import marshal
import sys
import zipfile
from pathlib import Path

LEFT_OUT = {"__pycache__", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tests", "tkinter", "turtledemo", "venv"}
PLACE = "/python/python313.zip/"
UNCHECKED_HASH = (1).to_bytes(4, "little")


def main():
    library, output, *others = map(Path, sys.argv[1:])
    modules = {path.relative_to(library).as_posix(): path for path in library.rglob("*.py")}
    modules = {name: path for name, path in modules.items() if not LEFT_OUT.intersection(name.split("/"))}
    modules.update({path.name: path for path in others})
    with zipfile.ZipFile(output, "w") as archive:
        for name, path in sorted(modules.items()):
            source = path.read_bytes()
            code = compile(source, PLACE + name, "exec", dont_inherit=True)
            header = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH + importlib.util.source_hash(source)
            add(archive, name, source)
            add(archive, name + "c", header + marshal.dumps(code))


def add(archive, name, data):
    """Always with the same time, so that the same modules make the same archive."""
    archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, 9)


main()
