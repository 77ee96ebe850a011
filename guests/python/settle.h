/* What is done to the memory between the start-up and its snapshot, so that a request writes to few of its pages: each that it
 * writes to is copied for it. Part of python.c. */

#include <pycore_code.h>
#include <pycore_dict.h>
#include <pycore_freelist.h>
#include <pycore_global_objects.h>
#include <pycore_interp.h>
#include <pycore_obmalloc.h>
#include <pycore_opcode_metadata.h>
#include <pycore_pystate.h>

#include <stdbool.h>

void *_PyObject_Malloc(void *context, size_t size);

/* Instructions that have run at the start-up stay as they have become. Their counters would count what they meet in each request,
 * and have them specialised anew in some. Code that has not run is as it always is. */
static void stop_counters(PyCodeObject *code)
{
    _Py_CODEUNIT *instructions = _PyCode_CODE(code);
    const uint16_t untouched = adaptive_counter_warmup().as_counter;
    for (Py_ssize_t i = 0; i < Py_SIZE(code); i++) {
        int opcode = _Py_GetBaseOpcode(code, i), caches = _PyOpcode_Caches[opcode];
        if (!caches) continue;
        switch (opcode) {
        case JUMP_BACKWARD:
        case POP_JUMP_IF_FALSE:
        case POP_JUMP_IF_TRUE:
        case POP_JUMP_IF_NONE:
        case POP_JUMP_IF_NOT_NONE: break; /* these have no such counter */
        default:
            if (instructions[i + 1].counter.as_counter != untouched) {
                instructions[i + 1].counter = initial_unreachable_backoff_counter();
            }
        }
        i += caches;
    }
}

/* What is in an object's block and not of the object: whatever was there before. */
static void wipe_rest(PyObject *object, size_t size)
{
    memset((char *)object + size, 0, _Py_SIZE_ROUND_UP(size, ALIGNMENT) - size);
}

static void wipe_unused(PyObject *object)
{
    if (PyUnicode_CheckExact(object)) {
        uint32_t *state = (uint32_t *)&((PyASCIIObject *)object)->state;
        *state &= 0xff;
        size_t head = PyUnicode_IS_ASCII(object) ? sizeof(PyASCIIObject) : sizeof(PyCompactUnicodeObject);
        if (PyUnicode_IS_COMPACT(object))
            wipe_rest(object, head + (PyUnicode_GET_LENGTH(object) + 1) * PyUnicode_KIND(object));
    } else if (PyBytes_CheckExact(object)) {
        wipe_rest(object, offsetof(PyBytesObject, ob_sval) + PyBytes_GET_SIZE(object) + 1);
    } else if (PyList_CheckExact(object)) {
        PyListObject *list = (PyListObject *)object;
        for (Py_ssize_t i = Py_SIZE(list); i < list->allocated; i++) list->ob_item[i] = NULL;
    }
}

/* Immortal objects, as CPython calls them, do not count their references. None of these would be freed before the instance is. */
static int make_immortal(PyObject *object, void *unused)
{
    if (_Py_IsImmortal(object)) return 0;
    object->ob_refcnt = _Py_IMMORTAL_REFCNT;
    wipe_unused(object);
    if (PyUnicode_CheckExact(object)) {
        PyObject_Hash(object); /* which it keeps */
    } else if (PyCode_Check(object)) {
        PyCodeObject *code = (PyCodeObject *)object;
        stop_counters(code);
        PyObject *parts[] = {code->co_consts, code->co_names, code->co_exceptiontable, code->co_localsplusnames,
                             code->co_localspluskinds, code->co_filename, code->co_name, code->co_qualname,
                             code->co_linetable};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            if (parts[i]) make_immortal(parts[i], unused);
    } else if (PyObject_IS_GC(object) && !PyObject_GC_IsTracked(object) && Py_TYPE(object)->tp_traverse) {
        Py_TYPE(object)->tp_traverse(object, make_immortal, unused);
    }
    return 0;
}

static int make_with_referents_immortal(PyObject *object, void *unused)
{
    make_immortal(object, unused);
    if (Py_TYPE(object)->tp_traverse) Py_TYPE(object)->tp_traverse(object, make_immortal, unused);
    if (PyDict_Check(object)) {
        /* Its traversal leaves out keys that are strings. */
        PyObject *key, *value;
        for (Py_ssize_t position = 0; PyDict_Next(object, &position, &key, &value);) make_immortal(key, unused);
    } else if (PyType_Check(object) && PyType_HasFeature((PyTypeObject *)object, Py_TPFLAGS_HEAPTYPE)) {
        PyDictKeysObject *keys = ((PyHeapTypeObject *)object)->ht_cached_keys;
        if (keys) keys->dk_refcnt = _Py_IMMORTAL_REFCNT;
        /* Each instance takes one from the room for other attributes, down to this. */
        if (keys && keys->dk_nentries > 0 && keys->dk_usable > 1) keys->dk_usable = 1;
    }
    return 1;
}

static void make_all_immortal(PyInterpreterState *interpreter)
{
    PyUnstable_GC_VisitObjects(make_with_referents_immortal, NULL);
    PyObject *name, *same;
    PyObject *names = _Py_INTERP_CACHED_OBJECT(interpreter, interned_strings);
    for (Py_ssize_t position = 0; names && PyDict_Next(names, &position, &name, &same);) make_immortal(name, NULL);
    struct type_cache_entry *found = interpreter->types.type_cache.hashtable;
    for (size_t i = 0; i < 1 << MCACHE_SIZE_EXP; i++)
        if (found[i].name) make_immortal(found[i].name, NULL);
}

static void take_block(size_t size)
{
    void *block = _PyObject_Malloc(NULL, size);
    if (block) memset(block, 0, size);
}

/* Digits of numbers that were written or read as decimals. Only the powers of five stay. */
static void forget_numbers(struct _dtoa_state *state)
{
    for (int k = 0; k <= Bigint_Kmax; k++) {
        for (struct Bigint *number = state->freelist[k], *next; number; number = next) {
            next = number->next;
            memset(number, 0, offsetof(struct Bigint, x) + number->maxwds * sizeof *number->x);
        }
        state->freelist[k] = NULL;
    }
    double *end = state->preallocated + Bigint_PREALLOC_SIZE, *unused = state->preallocated;
    for (int i = 0; i < Bigint_Pow5size; i++) {
        struct Bigint *power = state->p5s[i];
        if (!power || (double *)power < unused || (double *)power >= end) continue;
        size_t size = offsetof(struct Bigint, x) + power->maxwds * sizeof *power->x;
        unused = (double *)power + (size + sizeof *unused - 1) / sizeof *unused;
    }
    memset(unused, 0, (char *)end - (char *)unused);
    state->preallocated_next = unused;
}

/* What is free between objects is taken and never used, so that those of a request lie together, in pages that are all theirs.
 * It is wiped as well: what the start-up has freed, such as the variables of its warm-up requests, is not in the snapshot. */
static void take_what_is_free(PyInterpreterState *interpreter)
{
    struct _obmalloc_state *state = interpreter->obmalloc;
    while (state->mgmt.usable_arenas) take_block(SMALL_REQUEST_THRESHOLD);
    for (unsigned i = 0; i < NB_SMALL_SIZE_CLASSES; i++) {
        while (state->pools.used[2 * i] != state->pools.used[2 * i]->nextpool) take_block((i + 1) << ALIGNMENT_SHIFT);
    }
    /* Now all pools are full and in no list. What their links say is only in which order they were used. */
    for (unsigned i = 0; i < state->mgmt.maxarenas; i++) {
        struct arena_object *arena = &state->mgmt.arenas[i];
        poolp pool = (poolp)_Py_ALIGN_UP(arena->address, POOL_SIZE);
        for (unsigned n = arena->address ? arena->ntotalpools : 0; n > 0; n--) {
            pool->nextpool = pool->prevpool = NULL;
            pool = (poolp)((char *)pool + POOL_SIZE);
        }
    }

    enum { LARGEST = 1 << 20 };
    char *end = malloc(LARGEST), *block;
    for (size_t size = LARGEST; end && size >= 8; size -= size > 1024 ? size / 8 : 8) {
        while ((block = malloc(size)) && block < end) memset(block, 0, size);
        free(block);
    }
    free(end);

    forget_numbers(&interpreter->dtoa);

    PyThreadState *thread = _PyThreadState_GET();
    if (thread->datastack_top)
        memset(thread->datastack_top, 0, (char *)thread->datastack_limit - (char *)thread->datastack_top);
}

/* The first arena of a request lies before all others: of the pages that it writes to, the host keeps the first ones for the next. */
static char first_arena[ARENA_SIZE] __attribute__((aligned(POOL_SIZE)));

static void *allocate_arena(void *is_taken, size_t size)
{
    if (*(bool *)is_taken || size != ARENA_SIZE) return malloc(size);
    *(bool *)is_taken = true;
    return first_arena;
}

static void free_arena(void *is_taken, void *arena, size_t size)
{
    (void)is_taken, (void)size;
    if (arena != first_arena) free(arena);
}

static void settle_memory(void)
{
    PyInterpreterState *interpreter = _PyInterpreterState_GET();
    PyGC_Collect();
    _PyObject_ClearFreeLists(&interpreter->object_state.freelists, 0);
    memset(&interpreter->object_state.freelists, 0, sizeof interpreter->object_state.freelists);
    make_all_immortal(interpreter);
    take_what_is_free(interpreter);
    static bool is_taken = false;
    PyObjectArenaAllocator allocator = {&is_taken, allocate_arena, free_arena};
    PyObject_SetArenaAllocator(&allocator);
}

/* At the beginning of a request. The host resets 32 stretches of written pages in place; the rest of them come back by page faults
 * in the next request. So what has many written pages is made one stretch: free lists to the cache of methods. */
static void join_pages(void)
{
    PyInterpreterState *interpreter = _PyInterpreterState_GET();
    volatile char *end = (volatile char *)(&interpreter->types.type_cache + 1);
    for (volatile char *byte = (volatile char *)&interpreter->object_state; byte < end; byte += 4096) *byte = *byte;
}
