"""What python.wasm does around a CGI program: `start` and `settle` ahead of all requests, `run` in each.

The first argument is a script, or `module:name` for a WSGI application in a module.
"""

import gc
import importlib
import os
import sys
import types

_code = None
_code_of = None
_application = None
_environ = dict(os.environ._data)
_environ_of_program = {}


def start():
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
        for path in os.environ.get("WCGI_PYTHON_WARMUP", "").split():
            _warm_up(path)
    else:
        sys.path.insert(0, os.path.dirname(target))
        _code_of = _state_of(target)
        _code = _compile(target)


def settle():
    """Leaves nothing behind that must not be the same in all requests."""
    _forget()
    if random := sys.modules.get("random"):
        random.seed(0)
    for name, value in os.environ._data.items():
        if _environ.get(name) != value:
            _environ_of_program[name] = value
    os.environ._data.clear()
    _environ.clear()
    sys.stdout.flush()
    sys.stderr.flush()
    gc.collect()
    # What is here now lives as long as the instance. No collection need look at it, or make its pages dirty.
    gc.freeze()


def run(arguments, variables, is_snapshot):
    """Answers the request and returns the exit status."""
    if is_snapshot:
        sys.argv[:] = arguments
        sys.orig_argv[:] = arguments
        # `os.environ`, `os.environb` and `posix.environ` share this dictionary.
        os.environ._data.clear()
        os.environ._data.update(variables)
        os.environ._data.update(_environ_of_program)
        _forget()
        if random := sys.modules.get("random"):
            random.seed()
    try:
        if _application is not None:
            sys.modules["wsgiref.handlers"].CGIHandler().run(_application)
        else:
            _run_script(sys.argv[1])
        status = 0
    except SystemExit as end:
        status = _status(end.code)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    return _end() or status


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
    """Has the application answer a request that nobody made."""
    from wsgiref.util import setup_testing_defaults

    path, _, query = path.partition("?")
    environ = {"PATH_INFO": path, "QUERY_STRING": query, "SCRIPT_NAME": ""}
    setup_testing_defaults(environ)
    environ["wsgi.errors"] = sys.stderr
    answer = _application(environ, lambda status, headers, exc_info=None: lambda data: None)
    try:
        for _ in answer:
            pass
    finally:
        if close := getattr(answer, "close", None):
            close()


def _forget():
    """Forgets what modules of the library remember that differs between requests."""
    modules = sys.modules
    if tempfile := modules.get("tempfile"):
        tempfile._name_sequence = None
    if uuid := modules.get("uuid"):
        uuid._node = uuid._last_timestamp = None
    if logging := modules.get("logging"):
        import time

        logging._startTime = time.time_ns()


def _status(code):
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _end():
    """What Py_Finalize would do that others can see."""
    status = 0
    try:
        if atexit := sys.modules.get("atexit"):
            atexit._run_exitfuncs()
        # Closes the files that the script has left open.
        if _application is None:
            sys.modules["__main__"].__dict__.clear()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            status = 120
    return status
