/* For builds that count which handler comes after which, from which likely-next.awk makes likely-next.txt. Included in
   Zend/zend_vm_execute.h, at whose end tail-calls.awk puts count_handlers. */
#include <unistd.h>

static struct {
	const char *name;
	const void *next;
	unsigned long long count;
} counts[1 << 15];

static void count_next(const char *name, const void *next)
{
	unsigned i = ((unsigned) (uintptr_t) name * 2654435761u ^ (unsigned) (uintptr_t) next * 40503u) >> 7;

	while (counts[i %= sizeof counts / sizeof *counts].name && (counts[i].name != name || counts[i].next != next)) {
		i++;
	}
	counts[i].name = name;
	counts[i].next = next;
	counts[i].count++;
}

static const struct count_handler {
	const char *name;
	const void *handler;
} count_handlers[];

/* At the end of a request: what was counted, into a new file in /counts. */
void php_wasi_write_counts(void)
{
	char path[] = "/counts/XXXXXX";
	int fd = mkstemp(path);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	for (size_t i = 0; file && i < sizeof counts / sizeof *counts; i++) {
		for (const struct count_handler *next = count_handlers; counts[i].name && next->name; next++) {
			if (next->handler == counts[i].next) {
				fprintf(file, "%s %s %llu\n", counts[i].name, next->name, counts[i].count);
			}
		}
	}
	if (!file || fclose(file) != 0) {
		fprintf(stderr, "cannot write counts\n");
	}
}

/* What the start-up did is none of it. */
void php_wasi_forget_counts(void)
{
	memset(counts, 0, sizeof counts);
}
