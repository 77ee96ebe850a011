"""What python.wasm does around a CGI program: `start` and `settle` ahead of all requests, `run` in each.

The first argument is a script, or `module:name` for a WSGI application in a module.
"""

import gc
import importlib
import io
import os
import sys
import time
import types
import weakref

# After so many, instructions that are specialised for what they meet have been, and caches have what a request looks for.
WARM_UPS = 8

_code = None
_code_of = None
_application = None
_environ = dict(os.environ._data)
_environ_of_program = {}


def start(is_snapshot):
    """Does what can be done before there is a request: imports, the application, its first answers."""
    global _application, _code, _code_of
    for name in os.environ.get("WCGI_PYTHON_IMPORTS", "").replace(",", " ").split():
        importlib.import_module(name)
    if len(sys.argv) < 2:
        raise SystemExit("usage: python SCRIPT | MODULE:APPLICATION")
    target = sys.argv[1]
    module, colon, name = target.partition(":")
    if colon and "/" not in target:
        import wsgiref.handlers

        _application = importlib.import_module(module)
        for part in name.split("."):
            _application = getattr(_application, part)
    else:
        sys.path.insert(0, os.path.dirname(target))
        _code_of = _state_of(target)
        _code = _compile(target)
    if is_snapshot and (file := os.environ.get("WCGI_WARMUP")):
        _warm_up(file)


def settle():
    """Leaves nothing behind that must not be the same in all requests."""
    modules = sys.modules
    if random := modules.get("random"):
        random.seed(0)
    if tempfile := modules.get("tempfile"):
        tempfile._name_sequence = None
    if uuid := modules.get("uuid"):
        uuid._node = uuid._last_timestamp = None
    for name, value in os.environ._data.items():
        if _environ.get(name) != value:
            _environ_of_program[name] = value
    os.environ._data.clear()
    _environ.clear()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        # libc keeps the path that it was asked for last, the name of a temporary file perhaps.
        os.stat("/tmp/" + "x" * 1000)
    except OSError:
        pass
    gc.collect()
    # What is here now lives as long as the instance. No collection need look at it, or make its pages dirty.
    gc.freeze()


def run(variables, is_snapshot):
    """Answers the request and returns the exit status."""
    if is_snapshot:
        _begin(variables)
    status = _answer()
    if atexit := sys.modules.get("atexit"):
        atexit._run_exitfuncs()
    return _end() or status


def _begin(variables):
    # `os.environ`, `os.environb` and `posix.environ` share this dictionary.
    os.environ._data.clear()
    os.environ._data.update(variables)
    os.environ._data.update(_environ_of_program)
    if logging := sys.modules.get("logging"):
        logging._startTime = time.time_ns()
    if random := sys.modules.get("random"):
        random.seed()


def _answer():
    try:
        if _application is not None:
            sys.modules["wsgiref.handlers"].CGIHandler().run(_application)
        else:
            _run_script(sys.argv[1])
    except SystemExit as end:
        return _status(end.code)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _run_script(path):
    sys.argv.pop(0)
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__file__ = path
    main.__builtins__ = __builtins__
    code = _code if _code is not None and _state_of(path) == _code_of else _compile(path)
    exec(code, main.__dict__)


def _compile(path):
    with open(path, "rb") as file:
        return compile(file.read(), path, "exec", dont_inherit=True)


def _state_of(path):
    state = os.stat(path)
    return state.st_mtime_ns, state.st_size, state.st_ino


def _warm_up(path):
    """Answers the requests in a file, a line of `NAME=value` with tabs between for each, as if they were real: only that stdout
    goes nowhere now. No variable of theirs is left, nor what they have changed in the environment."""
    constants, arguments, streams = dict(os.environ._data), sys.argv[:], (sys.stdin, sys.stdout, sys.stderr)
    file = os.open(path, os.O_RDONLY)
    lines = os.read(file, os.fstat(file).st_size).splitlines()
    os.close(file)
    for line in lines:
        variables = constants | dict(field.split(b"=", 1) for field in line.split(b"\t") if b"=" in field)
        for _ in range(WARM_UPS):
            # The request may close it.
            sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8", newline="\n")
            _begin(variables)
            if _answer() != 0:
                print("that was the warm-up request", variables.get(b"REQUEST_URI"), file=streams[2])
            _end()
            sys.stdin, sys.stdout, sys.stderr = streams
            sys.argv[:] = arguments
    _begin(constants)
    if logging := sys.modules.get("logging"):
        # What its own function of atexit does at the end of each request.
        handler = logging.StreamHandler()
        logging.shutdown([weakref.ref(handler)])


def _status(code):
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _end():
    """What Py_Finalize would do that others can see, but for functions of atexit."""
    # Closes the files that the script has left open.
    if _application is None:
        sys.modules["__main__"].__dict__.clear()
    status = 0
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            status = 120
    return status
