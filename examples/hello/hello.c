/* A CGI program: it finds the request in environment variables and prints a head, an empty line and a page.
 * `?name=Ada` in the URL makes it greet Ada. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The decoded value of `name` in the query string, written to `value` (cut off at its size); "" when there is none. */
static void query_value(const char *query, const char *name, char *value, size_t size) {
    size_t name_len = strlen(name), n = 0;
    while (strncmp(query, name, name_len) != 0 || query[name_len] != '=') {
        query += strcspn(query, "&");
        if (*query == 0) break;
        query++;
    }
    if (*query) query += name_len + 1;
    for (; *query && *query != '&' && n + 1 < size; query++) {
        if (*query == '+') {
            value[n++] = ' ';
        } else if (*query == '%' && isxdigit(query[1]) && isxdigit(query[2])) {
            char code[3] = {query[1], query[2]};
            value[n++] = (char)strtol(code, NULL, 16);
            query += 2;
        } else {
            value[n++] = *query;
        }
    }
    value[n] = 0;
}

/* Prints text that came from outside so that a browser shows it instead of obeying it. */
static void print_escaped(const char *text) {
    for (; *text; text++) {
        switch (*text) {
            case '&': fputs("&amp;", stdout); break;
            case '<': fputs("&lt;", stdout); break;
            case '>': fputs("&gt;", stdout); break;
            case '"': fputs("&quot;", stdout); break;
            case '\'': fputs("&#39;", stdout); break;
            default: putchar(*text);
        }
    }
}

int main(void) {
    const char *query = getenv("QUERY_STRING");
    char who[100];
    query_value(query ? query : "", "name", who, sizeof who);

    fputs("Content-Type: text/html; charset=utf-8\r\n\r\n", stdout);
    fputs("<!doctype html>\n<title>Hello</title>\n<h1>Hello, ", stdout);
    print_escaped(who[0] ? who : "World");
    fputs("!</h1>\n<form>Who are you? <input name=\"name\"> <button>Greet me</button></form>\n", stdout);
    return 0;
}
