/* The two entries of a php-cgi whose start-up is in a memory snapshot. It is included at the end of sapi/cgi/cgi_main.c,
   whose variables it sets; `php_wasi_snapshot` makes main() begin after the start-up and end without a shutdown. */
#include <wasi/api.h>
#include "ext/pcre/php_pcre.h"

extern void __wasm_call_ctors(void);
extern int __main_void(void);
extern void __wasilibc_initialize_environ(void);
extern void __wasilibc_populate_preopens(void);
extern void __wasilibc_reset_preopens(void);
extern void sqlite3_randomness(int, void *);
extern void wasi_malloc_begin_request(void);
extern int wasi_is_starting;
extern void wasi_mmap_clear_free(void);
extern void zend_mm_wasi_clear_free(void);
extern void zend_accel_wasi_forget_names(void);
#ifdef PHP_WASI_COUNT
extern void php_wasi_write_counts(void);
extern void php_wasi_forget_counts(void);
#endif
extern char __stack_low;

/* Output of a warm-up request goes nowhere, or to stderr if PHP_WARMUP_VERBOSE is set. */
static size_t warm_up_write(const char *bytes, size_t size)
{
	if (getenv("PHP_WARMUP_VERBOSE")) {
		fwrite(bytes, 1, size, stderr);
	}
	return size;
}

static void warm_up_flush(void *context)
{
}

static void warm_up_request(void)
{
	char *arguments[] = { (char *) "php-cgi", NULL };
	extern int main(int, char **);

	cgi_sapi_module.ub_write = sapi_module.ub_write = warm_up_write;
	cgi_sapi_module.flush = sapi_module.flush = warm_up_flush;
	if (main(1, arguments) != 0) {
		const char *script = getenv("SCRIPT_FILENAME");
		fprintf(stderr, "the warm-up request of %s failed\n", script ? script : "no script");
	}
	EG(exit_status) = 0;
	cgi_sapi_module.ub_write = sapi_module.ub_write = sapi_cgi_ub_write;
	cgi_sapi_module.flush = sapi_module.flush = sapi_cgi_flush;
}

/* All of a file, with a 0 at its end, in memory that free() wipes, and not by way of a buffer of the C library's. */
static char *read_file(const char *path)
{
	struct stat status;
	char *text = NULL;
	ssize_t size = 0, count;
	int file = open(path, O_RDONLY);

	if (file >= 0 && fstat(file, &status) == 0 && (text = malloc(status.st_size + 1))) {
		while (size < status.st_size && (count = read(file, text + size, status.st_size - size)) > 0) {
			size += count;
		}
		text[size] = 0;
	}
	if (file < 0 || close(file) < 0 || !text) {
		fprintf(stderr, "cannot read the warm-up requests in %s\n", path);
		__builtin_trap();
	}
	return text;
}

/* The requests in the file PHP_WARMUP names: one on a line, as NAME=value separated by tabs. They are the environment as they lie
   in the file's text: setenv() would make copies. */
static void warm_up(const char *path)
{
	enum { VARIABLES = 256 };
	static char *variables[VARIABLES + 1];
	char **environment = environ;
	char *text = read_file(path);

	for (char *line = text, *next_line; line; line = next_line) {
		int count = 0;
		if ((next_line = strchr(line, '\n'))) {
			*next_line++ = 0;
		}
		for (char *next; line && *line; line = next) {
			if ((next = strchr(line, '\t'))) {
				*next++ = 0;
			}
			if (count < VARIABLES && strchr(line, '=')) {
				variables[count++] = line;
			}
		}
		if (count == 0) {
			continue;
		}
		for (char **constant = environment; *constant && count < VARIABLES; constant++) {
			variables[count++] = *constant;
		}
		variables[count] = NULL;
		environ = variables;
		warm_up_request();
		environ = environment;
	}
	memset(variables, 0, sizeof variables);
	free(text);
}

/* Patterns that a warm-up made up. Those that stand in a page are opcache's strings, and stay. */
static void forget_patterns(void)
{
	zend_string *pattern;

	ZEND_HASH_FOREACH_STR_KEY(&PCRE_G(pcre_cache), pattern) {
		if (!ZSTR_IS_INTERNED(pattern)) {
			zend_hash_del(&PCRE_G(pcre_cache), pattern);
		}
	} ZEND_HASH_FOREACH_END();
}

/* Where links lead: a deployment may switch one before there is a request. */
static void forget_links(void)
{
	realpath_cache_bucket **buckets = realpath_cache_get_buckets();

	for (zend_long i = 0; i < realpath_cache_max_buckets(); i++) {
		for (realpath_cache_bucket *bucket = buckets[i], *next; bucket; bucket = next) {
			next = bucket->next;
			if (bucket->realpath != bucket->path) {
				realpath_cache_del(bucket->path, bucket->path_len);
			}
		}
	}
	zend_accel_wasi_forget_names();
}

/* The start-up's own variables are read again by the request; what the package gave the start-up alone ends with it. */
static void forget_environment(void)
{
	for (char **variable = environ; *variable; variable++) {
		memset(*variable, 0, strlen(*variable));
	}
	environ[0] = NULL;
}

static zend_never_inline void start_up(void)
{
	struct php_ini_builder ini;
	const char *requests;

	__wasm_call_ctors();
	zend_signal_startup();
	php_cgi_globals_ctor(&php_cgi_globals);
	sapi_startup(&cgi_sapi_module);
	fcgi_is_fastcgi();
	cgi_sapi_module.php_ini_path_override = NULL;
	php_ini_builder_init(&ini);
	cgi_sapi_module.ini_entries = php_ini_builder_finish(&ini);
	cgi_sapi_module.executable_location = "php-cgi";
	if (cgi_sapi_module.startup(&cgi_sapi_module) == FAILURE) {
		__builtin_trap();
	}
	php_php_import_environment_variables = php_import_environment_variables;
	php_import_environment_variables = cgi_php_import_environment_variables;
	php_wasi_snapshot = 1;

	if ((requests = getenv("PHP_WARMUP"))) {
		warm_up(requests);
		/* Handles, the cache of .user.ini, patterns, states of generators */
		zend_hash_graceful_reverse_destroy(&EG(persistent_list));
		zend_hash_init(&EG(persistent_list), 8, NULL, plist_entry_destructor, 1);
		zend_hash_clean(&CGIG(user_config_cache));
		forget_patterns();
		forget_links();
		sqlite3_randomness(0, NULL);
	}
	fflush(NULL);
	forget_environment();
}

/* Run once, when the snapshot is made: constructors, sapi and modules, php.ini, warm-up requests. */
__attribute__((export_name("wizer-initialize"))) void php_wasi_initialize(void)
{
	char here;

	wasi_is_starting = 1;
	start_up();
	__wasilibc_reset_preopens();
#ifdef PHP_WASI_COUNT
	php_wasi_forget_counts();
#endif
	/* What is free is zero, so that the image is small and has no data of the warm-up; so is the stack below this frame. */
	zend_mm_wasi_clear_free();
	wasi_mmap_clear_free();
	wasi_malloc_begin_request();
	memset(&__stack_low, 0, (size_t) (&here - 16 - &__stack_low));
}

/* What `_start` becomes in the snapshot: one request, with the environment and the directories of its own. */
__attribute__((export_name("wizer.resume"))) void php_wasi_resume(void)
{
	int status;

	__wasilibc_initialize_environ();
	__wasilibc_populate_preopens();
	status = __main_void();
#ifdef PHP_WASI_COUNT
	php_wasi_write_counts();
#endif
	fflush(NULL);
	if (status) {
		__wasi_proc_exit(status & 255);
	}
}
