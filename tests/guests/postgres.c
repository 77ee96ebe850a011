/* postgres: keeps texts in PostgreSQL by libpq as it is. `conn` says where; `say` is inserted into a table, and all texts are read back. */
#include "guest.h"

#include <netdb.h>

#include <libpq-fe.h>

static PGresult *done(PGconn *conn, PGresult *result) {
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        printf("failed: %s", PQerrorMessage(conn));
        exit(0);
    }
    return result;
}

int main(void) {
    head("text/plain");
    PGconn *conn = PQconnectdb(param("conn"));
    if (PQstatus(conn) != CONNECTION_OK) {
        printf("connect: %s", PQerrorMessage(conn));
        return 0;
    }
    const char *values[] = {param("say")};
    PQclear(done(conn, PQexec(conn, "create table if not exists said (id serial, text text)")));
    PQclear(done(conn, PQexecParams(conn, "insert into said (text) values ($1)", 1, NULL, values, NULL, NULL, 0)));
    PGresult *rows = done(conn, PQexec(conn, "select text, length(text) from said order by id"));
    for (int row = 0; row < PQntuples(rows); row++) printf("%s %s\n", PQgetvalue(rows, row, 0), PQgetvalue(rows, row, 1));
    PQclear(rows);
    /* Many rows, which do not fit into one read. */
    rows = done(conn, PQexec(conn, "select repeat('x', 1000) from generate_series(1, 1000)"));
    printf("%d rows of %d%s\n", PQntuples(rows), PQgetlength(rows, 999, 0), PQsslInUse(conn) ? ", by TLS" : "");
    PQfinish(conn);
    return 0;
}
