/* A CGI program: the request comes in environment variables and stdin, the answer goes to stdout, head first. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The decoded value of `name` in the query string, cut off at `size`; "" when there is none. */
static void query_value(const char *query, const char *name, char *value, size_t size) {
    size_t name_length = strlen(name), n = 0;
    while (*query && !(strncmp(query, name, name_length) == 0 && query[name_length] == '=')) {
        query += strcspn(query, "&");
        query += strspn(query, "&");
    }
    if (*query) query += name_length + 1;
    for (; *query && *query != '&' && n + 1 < size; query++) {
        unsigned char digits[3] = "";
        if (query[0] == '%' && query[1] && query[2]) memcpy(digits, query + 1, 2);
        if (isxdigit(digits[0]) && isxdigit(digits[1])) {
            value[n++] = (char)strtol((char *)digits, NULL, 16);
            query += 2;
        } else {
            value[n++] = *query == '+' ? ' ' : *query;
        }
    }
    value[n] = '\0';
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
    char name[100];
    query_value(query ? query : "", "name", name, sizeof name);

    puts("Content-Type: text/html; charset=utf-8\n");
    fputs("<!doctype html>\n<title>{{name}}</title>\n<h1>Hello, ", stdout);
    print_escaped(*name ? name : "World");
    puts("!</h1>");
    return EXIT_SUCCESS;
}
