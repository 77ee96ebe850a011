/* A guest book: a CGI program. The request comes in environment variables and stdin, the answer goes to stdout. Entries are
 * lines of a file, each URL-encoded like the form that was sent. The process lives for one request, so nothing is freed. */
#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_BODY = 16 * 1024, MAX_NAME = 100, MAX_MESSAGE = 1000 };

static const char BOOK[] = "/data/entries.txt";

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

static bool wants_json(void) {
    return strstr(variable("HTTP_ACCEPT"), "application/json") != NULL;
}

/* Writing what came from outside */

static void put_html(FILE *out, const char *text) {
    for (; *text; text++) {
        switch (*text) {
            case '&': fputs("&amp;", out); break;
            case '<': fputs("&lt;", out); break;
            case '>': fputs("&gt;", out); break;
            case '"': fputs("&quot;", out); break;
            case '\'': fputs("&#39;", out); break;
            default: putc(*text, out);
        }
    }
}

static void put_json(FILE *out, const char *text) {
    putc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if ((unsigned char)*text < ' ')
            fprintf(out, "\\u%04x", *text);
        else
            putc(*text, out);
    }
    putc('"', out);
}

/* Percent-encodes all but unreserved characters and those in `safe`. */
static void put_url(FILE *out, const char *text, const char *safe) {
    for (; *text; text++) {
        unsigned char byte = *text;
        if (isalnum(byte) || strchr("-._~", byte) || strchr(safe, byte))
            putc(byte, out);
        else
            fprintf(out, "%%%02X", byte);
    }
}

static void put_base(void) {
    put_url(stdout, variable("SCRIPT_NAME"), "/");
}

/* Answering */

static void head(const char *status) {
    printf("Status: %s\nContent-Type: %s\nVary: Accept\n", status,
           wants_json() ? "application/json" : "text/html; charset=utf-8");
}

/* Answers with an error, as JSON or as a page, and ends. Further header lines go before it. */
_Noreturn static void fail(const char *status, const char *reason) {
    head(status);
    putchar('\n');
    if (wants_json()) {
        fputs("{\"error\":", stdout);
        put_json(stdout, reason);
        puts("}");
    } else {
        printf("<!doctype html>\n<html lang=\"en\">\n<title>%s</title>\n<h1>%s</h1>\n<p>", status + 4, status + 4);
        put_html(stdout, reason);
        puts("</p>");
    }
    exit(EXIT_SUCCESS);
}

_Noreturn static void fail_inside(const char *what) {
    perror(what);
    fail("500 Internal Server Error", "the guest book is out of order");
}

/* Reading it */

/* The decoded value of `name` in `pairs`, "" if there is none. NUL would end a C string, so %00 is left as it is. */
static char *find_value(const char *pairs, const char *separators, const char *name) {
    size_t name_length = strlen(name);
    pairs += strspn(pairs, separators);
    while (*pairs && !(strncmp(pairs, name, name_length) == 0 && pairs[name_length] == '=')) {
        pairs += strcspn(pairs, separators);
        pairs += strspn(pairs, separators);
    }
    if (*pairs) pairs += name_length + 1;

    size_t length = strcspn(pairs, separators);
    char *value = malloc(length + 1), *end = value;
    if (value == NULL) fail_inside("malloc");
    for (size_t i = 0; i < length; i++) {
        unsigned char digits[3] = {0};
        if (pairs[i] == '%' && i + 2 < length) memcpy(digits, pairs + i + 1, 2);
        if (isxdigit(digits[0]) && isxdigit(digits[1]) && (digits[0] != '0' || digits[1] != '0')) {
            *end++ = (char)strtol((char *)digits, NULL, 16);
            i += 2;
        } else {
            *end++ = pairs[i] == '+' ? ' ' : pairs[i];
        }
    }
    *end = '\0';
    return value;
}

static char *trim(char *text) {
    while (isspace((unsigned char)*text)) text++;
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1])) end--;
    *end = '\0';
    return text;
}

/* The pages */

/* Opens the book for reading; NULL when nobody has written into it yet. */
static FILE *open_book(void) {
    FILE *book = fopen(BOOK, "r");
    if (book == NULL && errno != ENOENT) fail_inside(BOOK);
    return book;
}

/* The next entry's line, without its end; NULL after the last. */
static char *next_line(FILE *book) {
    static char *line;
    static size_t size;
    if (book == NULL || getline(&line, &size, book) < 0) return NULL;
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static void put_entry(unsigned long id, const char *line) {
    const char *name = find_value(line, "&", "name"), *message = find_value(line, "&", "message");
    if (wants_json()) {
        printf("{\"id\":%lu,\"name\":", id);
        put_json(stdout, name);
        fputs(",\"message\":", stdout);
        put_json(stdout, message);
        putchar('}');
    } else {
        printf("<li id=\"entry-%lu\"><strong>", id);
        put_html(stdout, name);
        fputs("</strong>: ", stdout);
        put_html(stdout, message);
        puts("</li>");
    }
}

static void show_all(void) {
    FILE *book = open_book();
    head("200 OK");
    puts(wants_json() ? "\n{\"entries\":[" : "\n<!doctype html>\n<html lang=\"en\">\n<title>Guest book</title>\n"
                                             "<h1>Guest book</h1>\n<ul>");
    unsigned long id = 0;
    for (char *line; (line = next_line(book)) != NULL;) {
        if (id++ > 0 && wants_json()) putchar(',');
        put_entry(id, line);
    }
    if (wants_json()) {
        puts("]}");
        return;
    }
    fputs("</ul>\n<form method=\"post\" action=\"", stdout);
    put_base();
    fputs("/\">\n<p><label>Name <input name=\"name\" value=\"", stdout);
    put_html(stdout, find_value(variable("HTTP_COOKIE"), "; ", "name"));
    printf("\" maxlength=\"%d\" required></label></p>\n"
           "<p><label>Message <textarea name=\"message\" maxlength=\"%d\" required></textarea></label></p>\n"
           "<p><button>Sign</button></p>\n</form>\n",
           MAX_NAME, MAX_MESSAGE);
}

static void show_one(const char *number) {
    char *end, *line = NULL;
    unsigned long wanted = isdigit((unsigned char)*number) ? strtoul(number, &end, 10) : 0;
    if (wanted == 0 || *end != '\0') fail("404 Not Found", "there is no such entry");
    FILE *book = open_book();
    for (unsigned long id = 0; id < wanted && (line = next_line(book)) != NULL;) id++;
    if (line == NULL) {
        char reason[100];
        snprintf(reason, sizeof reason, "there is no entry %s", number);
        fail("404 Not Found", reason);
    }
    head("200 OK");
    puts(wants_json() ? "" : "\n<!doctype html>\n<html lang=\"en\">\n<title>Guest book</title>\n<h1>Guest book</h1>\n<ul>");
    put_entry(wanted, line);
    if (wants_json()) {
        putchar('\n');
    } else {
        fputs("</ul>\n<p><a href=\"", stdout);
        put_base();
        puts("/\">All entries</a></p>");
    }
}

/* The field of the form, trimmed, or a 400: when it is empty, too long, or not UTF-8, which mbstowcs finds out. */
static char *require(const char *form, const char *name, size_t limit) {
    char *value = trim(find_value(form, "&", name));
    size_t length = mbstowcs(NULL, value, 0);
    char reason[100];
    snprintf(reason, sizeof reason, "the %s must be text of 1 to %zu characters", name, limit);
    if (length < 1 || length > limit) fail("400 Bad Request", reason);
    return value;
}

static void add(void) {
    static const char form_type[] = "application/x-www-form-urlencoded";
    const char *type = variable("CONTENT_TYPE");
    if (strncasecmp(type, form_type, strlen(form_type)) != 0 || !strchr("; ", type[strlen(form_type)]))
        fail("415 Unsupported Media Type", "send a form, URL-encoded");

    char body[MAX_BODY + 2];
    size_t length = fread(body, 1, sizeof body - 1, stdin);
    if (ferror(stdin)) fail_inside("stdin");
    if (length > MAX_BODY) fail("413 Content Too Large", "that is too much for a guest book");
    body[length] = '\0';
    char *name = require(body, "name", MAX_NAME), *message = require(body, "message", MAX_MESSAGE);

    /* The buffer holds any entry, so fclose appends it with one write, between the entries of others who sign now. */
    static char buffer[MAX_BODY];
    FILE *book = fopen(BOOK, "a");
    if (book == NULL) fail_inside(BOOK);
    setvbuf(book, buffer, _IOFBF, sizeof buffer);
    fputs("name=", book);
    put_url(book, name, "");
    fputs("&message=", book);
    put_url(book, message, "");
    putc('\n', book);
    if (fclose(book) != 0) fail_inside(BOOK);

    fputs("Status: 303 See Other\nLocation: ", stdout);
    put_base();
    fputs("/\nSet-Cookie: name=", stdout);
    put_url(stdout, name, "");
    fputs("; Path=", stdout);
    put_base();
    puts("/; HttpOnly; SameSite=Lax\n");
}

int main(void) {
    setlocale(LC_CTYPE, "C.UTF-8");
    const char *method = variable("REQUEST_METHOD"), *path = variable("PATH_INFO");
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool is_list = *path == '\0' || strcmp(path, "/") == 0;
    bool is_entry = strncmp(path, "/entries/", 9) == 0;

    if (is_list && reads) {
        show_all();
    } else if (is_list && strcmp(method, "POST") == 0) {
        add();
    } else if (is_entry && reads) {
        show_one(path + strlen("/entries/"));
    } else if (is_list || is_entry) {
        printf("Allow: %s\n", is_list ? "GET, HEAD, POST" : "GET, HEAD");
        fail("405 Method Not Allowed", "this can only be read");
    } else {
        fail("404 Not Found", "there is nothing here");
    }
    return EXIT_SUCCESS;
}
