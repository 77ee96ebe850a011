/* The main program of python.wasm, in place of CPython's Programs/python.c: a CGI program's interpreter whose start-up can be
 * run ahead of its requests. What is not C is in wcgi_main.py. */

#include <Python.h>

#include <wasi/api.h>
#include <wasi/libc-environ.h>

#ifdef WCGI_SQLITE
#include <sqlite3.h>
#endif

void __wasm_call_ctors(void);
int __main_void(void);
extern char **environ;

static enum { PLAIN, STARTING, STARTED } phase = PLAIN;
static PyObject *wcgi_main;

static void start_interpreter(int argc, char **argv);
static int run(int argc, char **argv);
static void start_sqlite(void);
static void make_immortal(void);
static void wipe_stack(void);

int main(int argc, char **argv)
{
    if (phase != STARTED) {
        start_interpreter(argc, argv);
        PyObject *done = PyObject_CallMethod(wcgi_main, "start", NULL);
        if (!done) {
            PyErr_Print();
            return 1;
        }
        Py_DECREF(done);
    }
    return phase == STARTING ? 0 : run(argc, argv);
}

/* Runs once, ahead of all requests. Nobody has run the constructors before. */
__attribute__((export_name("wizer-initialize"))) void initialize(void)
{
    __wasm_call_ctors();
    phase = STARTING;
    if (__main_void() != 0) __wasi_proc_exit(1);
    PyObject *done = PyObject_CallMethod(wcgi_main, "settle", NULL);
    if (!done) {
        PyErr_Print();
        __wasi_proc_exit(1);
    }
    Py_DECREF(done);
    make_immortal();
    fflush(NULL);
    wipe_stack();
    phase = STARTED;
}

/* Takes the place of _start in the snapshot. The environment and the arguments are now those of a request. */
__attribute__((export_name("wizer.resume"))) void resume(void)
{
    __wasilibc_initialize_environ();
    int status = __main_void();
    fflush(NULL);
    if (status != 0) __wasi_proc_exit(status);
}

/* What Python's own variables say (PYTHONPATH, PYTHONOPTIMIZE, …) holds, but for where its library is. */
static void start_interpreter(int argc, char **argv)
{
    PyPreConfig before;
    PyPreConfig_InitPythonConfig(&before);
    before.parse_argv = 0;
    before.coerce_c_locale = 0;
    before.utf8_mode = 1;
    PyStatus status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status)) Py_ExitStatusException(status);

    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    config.install_signal_handlers = 0;
    config.site_import = 0;
    config.user_site_directory = 0;
    config.write_bytecode = 0;
    config.pathconfig_warnings = 0;
    if (!getenv("PYTHONHASHSEED")) {
        /* Hashes are in the snapshot. A random seed would be, too, and would hide other random numbers that are. */
        config.use_hash_seed = 1;
        config.hash_seed = 0;
    }
    PyConfig_SetBytesString(&config, &config.program_name, "python");
    PyConfig_SetBytesString(&config, &config.executable, "");
    PyConfig_SetBytesArgv(&config, argc, argv);

    const char *library = getenv("WCGI_PYTHON_LIBRARY");
    PyConfig_SetBytesString(&config, &config.stdlib_dir, library ? library : "/python/python313.zip");
    PyConfig_SetBytesString(&config, &config.prefix, "/python");
    PyConfig_SetBytesString(&config, &config.exec_prefix, "/python");
    PyConfig_SetBytesString(&config, &config.base_prefix, "/python");
    PyConfig_SetBytesString(&config, &config.base_exec_prefix, "/python");
    PyConfig_SetBytesString(&config, &config.base_executable, "");
    config.module_search_paths_set = 1;
    const char *path = getenv("PYTHONPATH");
    while (path && *path) {
        size_t length = strcspn(path, ":");
        char *entry = strndup(path, length);
        wchar_t *decoded = entry ? Py_DecodeLocale(entry, NULL) : NULL;
        if (decoded && *decoded) PyWideStringList_Append(&config.module_search_paths, decoded);
        PyMem_RawFree(decoded);
        free(entry);
        path += length + (path[length] == ':');
    }
    PyWideStringList_Append(&config.module_search_paths, config.stdlib_dir);

    status = Py_InitializeFromConfig(&config);
    if (PyStatus_Exception(status)) Py_ExitStatusException(status);
    PyConfig_Clear(&config);

    start_sqlite();
    wcgi_main = PyImport_ImportModule("wcgi_main");
    if (!wcgi_main) {
        PyErr_Print();
        __wasi_proc_exit(1);
    }
}

/* Has wcgi_main answer the request. */
static int run(int argc, char **argv)
{
    PyObject *arguments = PyList_New(0), *variables = PyDict_New(), *status = NULL;
    for (int i = 0; arguments && i < argc; i++) {
        PyObject *argument = PyUnicode_DecodeFSDefault(argv[i]);
        if (!argument || PyList_Append(arguments, argument) < 0) goto done;
        Py_DECREF(argument);
    }
    for (char **variable = environ; variables && variable && *variable; variable++) {
        const char *equals = strchr(*variable, '=');
        if (!equals) continue;
        PyObject *name = PyBytes_FromStringAndSize(*variable, equals - *variable);
        PyObject *value = PyBytes_FromString(equals + 1);
        if (!name || !value || PyDict_SetItem(variables, name, value) < 0) goto done;
        Py_DECREF(name);
        Py_DECREF(value);
    }
    if (arguments && variables)
        status = PyObject_CallMethod(wcgi_main, "run", "OOO", arguments, variables,
                                     phase == STARTED ? Py_True : Py_False);
done:
    if (!status) {
        PyErr_Print();
        return 1;
    }
    /* No Py_Finalize: an instance that ends takes everything with it, and faster. */
    return (int)PyLong_AsLong(status);
}

#ifdef WCGI_SQLITE
/* SQLite would seed with the time and a process id that is always the same, as there is no /dev/urandom. */
static int host_randomness(sqlite3_vfs *vfs, int size, char *bytes)
{
    (void)vfs;
    for (int done = 0; done < size;) {
        int part = size - done > 256 ? 256 : size - done;
        if (getentropy(bytes + done, part) != 0) return done;
        done += part;
    }
    return size;
}

static void start_sqlite(void)
{
    if (sqlite3_initialize() != SQLITE_OK) return;
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    if (vfs) vfs->xRandomness = host_randomness;
}
#else
static void start_sqlite(void) {}
#endif

/* Counting references to what the start-up has made would write to its pages, and each page that a request writes to is copied
 * for it first. Immortal objects are not counted. None of them would be freed before the instance is. */
static int make_one_immortal(PyObject *object, void *unused)
{
    if (_Py_IsImmortal(object)) return 0;
    object->ob_refcnt = _Py_IMMORTAL_REFCNT;
    if (PyCode_Check(object)) {
        PyCodeObject *code = (PyCodeObject *)object;
        PyObject *parts[] = {code->co_consts, code->co_names, code->co_exceptiontable, code->co_localsplusnames,
                             code->co_localspluskinds, code->co_filename, code->co_name, code->co_qualname,
                             code->co_linetable};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            if (parts[i]) make_one_immortal(parts[i], unused);
    } else if (PyObject_IS_GC(object) && !PyObject_GC_IsTracked(object) && Py_TYPE(object)->tp_traverse) {
        Py_TYPE(object)->tp_traverse(object, make_one_immortal, unused);
    }
    return 0;
}

static int make_with_referents_immortal(PyObject *object, void *unused)
{
    make_one_immortal(object, unused);
    if (Py_TYPE(object)->tp_traverse) Py_TYPE(object)->tp_traverse(object, make_one_immortal, unused);
    return 1;
}

static void make_immortal(void)
{
    PyUnstable_GC_VisitObjects(make_with_referents_immortal, NULL);
}

/* What returned functions have left: random numbers that were asked for, and no use. */
__attribute__((noinline)) static void wipe_stack(void)
{
    extern char __stack_low;
    char here;
    char *end = &here - 256;
    for (volatile char *byte = &__stack_low; byte < end; byte++)
        if (*byte) *byte = 0;
}
