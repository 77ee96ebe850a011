/* startup: a start-up that does what the variable START says, a list of words:
 *   random, coin   keep random bytes; ask for some and keep none
 *   time           keep the time
 *   file, open     keep the text of /d/a; leave it open
 *   look           keep what it finds in /w, and whether it can write there
 *   leave          leave a file in /tmp
 *   warmup, php-warmup   keep the text of the file that WCGI_WARMUP or PHP_WARMUP names
 *   exit, trap, spin, bomb   fail
 * A request says "started=" with what START was then, or nothing when there was no start-up; "kept=" with what was kept;
 * "now=" with the text of the file in the query's `path`, after writing `data` to it when there is any. */
#include <dirent.h>

#include "guest.h"
#include "wizer.h"

static char started[256], kept[4096];

static void keep(const char *text) {
    strncat(kept, text, sizeof kept - strlen(kept) - 1);
}

static void keep_bytes(const uint8_t *bytes, size_t n) {
    char hex[3];
    for (size_t i = 0; i < n; i++) {
        snprintf(hex, sizeof hex, "%02x", bytes[i]);
        keep(hex);
    }
}

static const char *text_of(const char *path) {
    static char text[2048];
    FILE *file = fopen(path, "r");
    if (!file) return errno_name(errno);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

static const char *write_to(const char *path, const char *data) {
    FILE *file = fopen(path, "w");
    if (!file) return errno_name(errno);
    fputs(data, file);
    return fclose(file) ? errno_name(errno) : "ok";
}

static void look(void) {
    DIR *dir = opendir("/w");
    if (!dir) {
        keep(errno_name(errno));
        return;
    }
    int entries = 0;
    for (struct dirent *entry; (entry = readdir(dir));) entries += *entry->d_name != '.';
    closedir(dir);
    char found[64];
    snprintf(found, sizeof found, "%d entries, write: ", entries);
    keep(found);
    keep(write_to("/w/left", "x"));
}

static void start_up(void) {
    const char *words = getenv("START");
    snprintf(started, sizeof started, "%s", words ? words : "nothing");
    char list[256];
    snprintf(list, sizeof list, "%s", started);
    for (char *word = strtok(list, " "); word; word = strtok(NULL, " ")) {
        uint8_t bytes[8];
        struct timespec t;
        volatile uint32_t sum = 0;
        if (!strcmp(word, "random")) {
            if (__wasi_random_get(bytes, sizeof bytes)) abort();
            keep_bytes(bytes, sizeof bytes);
        } else if (!strcmp(word, "coin")) {
            if (__wasi_random_get(bytes, sizeof bytes)) abort();
            for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = 0;
            __asm__ volatile("" : : "r"(bytes) : "memory");
        } else if (!strcmp(word, "time")) {
            clock_gettime(CLOCK_REALTIME, &t);
            keep_bytes((uint8_t *)&t.tv_sec, sizeof t.tv_sec);
        } else if (!strcmp(word, "file")) {
            keep(text_of("/d/a"));
        } else if (!strcmp(word, "open")) {
            if (!fopen("/d/a", "r")) abort();
        } else if (!strcmp(word, "look")) {
            look();
        } else if (!strcmp(word, "leave")) {
            keep(write_to("/tmp/left", "x"));
        } else if (!strcmp(word, "warmup") || !strcmp(word, "php-warmup")) {
            const char *name = getenv(*word == 'w' ? "WCGI_WARMUP" : "PHP_WARMUP");
            if (name) keep(text_of(name));
        } else if (!strcmp(word, "exit")) {
            exit(3);
        } else if (!strcmp(word, "trap")) {
            fprintf(stderr, "about to trap\n");
            __builtin_trap();
        } else if (!strcmp(word, "spin")) {
            for (;;) sum = sum + 1;
        } else if (!strcmp(word, "bomb")) {
            for (char *last = NULL, *next;; last = next) {
                if (!(next = malloc(1 << 20))) abort();
                memcpy(next, &last, sizeof last);
            }
        }
    }
}

START_UP(start_up)

int main(int argc, char **argv) {
    (void)argc, (void)argv;
    head("text/plain");
    printf("started=%s\nkept=%s\n", started, kept);
    const char *path = param("path"), *data = param("data");
    if (path && data) printf("written=%s\n", write_to(path, data));
    if (path) printf("now=%s\n", text_of(path));
    return 0;
}
