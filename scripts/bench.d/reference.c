// The least a program can do to have N sessions: open them one after the other with libpq, ask one query on the
// first, end. What Warmgate's start is compared with.
//
//   reference CONNINFO N
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments) {
  if (count != 3) return 2;
  int sessions = atoi(arguments[2]);
  PGconn **connections = calloc((size_t)sessions + 1, sizeof *connections);
  for (int i = 0; i < sessions; i++) {
    connections[i] = PQconnectdb(arguments[1]);
    if (PQstatus(connections[i]) != CONNECTION_OK) {
      fprintf(stderr, "reference: %s", PQerrorMessage(connections[i]));
      return 1;
    }
  }
  PGresult *result = PQexec(connections[0], "SELECT 1");
  if (PQresultStatus(result) != PGRES_TUPLES_OK) return 1;
  PQclear(result);
  for (int i = 0; i < sessions; i++) PQfinish(connections[i]);
  return 0;
}
