/* The main program of python.wasm, in place of CPython's Programs/python.c: a CGI program's interpreter whose start-up can be
 * run ahead of its requests. What is not C is in wcgi_main.py. */

#include <Python.h>

#include <wasi/api.h>

#ifdef WCGI_SQLITE
#include <sqlite3.h>
#endif

#include "settle.h"

void __wasm_call_ctors(void);
int __main_void(void);
extern char **environ;

static enum { PLAIN, STARTING, STARTED } phase = PLAIN;
static PyObject *wcgi_main;

static void start_interpreter(int argc, char **argv);
static void read_environment(void);
static int run(void);
static void start_sqlite(void);
static void settle_sqlite(void);
static void wipe_stack(void);

int main(int argc, char **argv)
{
    start_interpreter(argc, argv);
    PyObject *done = PyObject_CallMethod(wcgi_main, "start", "O", phase == STARTING ? Py_True : Py_False);
    if (!done) {
        PyErr_Print();
        return 1;
    }
    Py_DECREF(done);
    return phase == STARTING ? 0 : run();
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
    settle_sqlite();
    settle_memory();
    fflush(NULL);
    wipe_stack();
    phase = STARTED;
}

/* Takes the place of _start in the snapshot. The environment is now a request's; the arguments are the same. */
__attribute__((export_name("wizer.resume"))) void resume(void)
{
    join_pages();
    read_environment();
    int status = run();
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

/* As libc would, but for the memory: it takes two blocks of different sizes, which lie in pages of their own. */
static void read_environment(void)
{
    static union {
        uint8_t *pointers[1];
        uint8_t bytes[8192];
    } usual;
    size_t count, size;
    if (__wasi_environ_sizes_get(&count, &size) != 0 || count > SIZE_MAX / 16) abort();
    size_t first = (count + 1) * sizeof(uint8_t *);
    uint8_t **pointers = first + size <= sizeof usual ? usual.pointers : malloc(first + size);
    if (!pointers || __wasi_environ_get(pointers, (uint8_t *)pointers + first) != 0) abort();
    pointers[count] = NULL;
    environ = (char **)pointers;
}

/* Has wcgi_main answer the request. */
static int run(void)
{
    PyObject *variables = PyDict_New(), *status = NULL;
    for (char **variable = environ; variables && variable && *variable; variable++) {
        const char *equals = strchr(*variable, '=');
        if (!equals) continue;
        PyObject *name = PyBytes_FromStringAndSize(*variable, equals - *variable);
        PyObject *value = PyBytes_FromString(equals + 1);
        if (!name || !value || PyDict_SetItem(variables, name, value) < 0) goto done;
        Py_DECREF(name);
        Py_DECREF(value);
    }
    if (variables) status = PyObject_CallMethod(wcgi_main, "run", "OO", variables, phase == STARTED ? Py_True : Py_False);
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
static int no_randomness(sqlite3_vfs *vfs, int size, char *bytes)
{
    (void)vfs;
    memset(bytes, 0, size);
    return size;
}

/* Has it seed anew in each request, and leave nothing of the numbers that it has drawn. */
static void settle_sqlite(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    if (!vfs) return;
    char byte;
    vfs->xRandomness = no_randomness;
    sqlite3_randomness(0, NULL);
    sqlite3_randomness(1, &byte);
    sqlite3_randomness(0, NULL);
    vfs->xRandomness = host_randomness;
}
#else
static void start_sqlite(void) {}
static void settle_sqlite(void) {}
#endif

/* What returned functions have left: random numbers that were asked for, and no use. */
__attribute__((noinline)) static void wipe_stack(void)
{
    extern char __stack_low;
    char here;
    char *end = &here - 256;
    for (volatile char *byte = &__stack_low; byte < end; byte++)
        if (*byte) *byte = 0;
}
