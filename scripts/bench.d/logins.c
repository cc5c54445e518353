// Logins, so many at a time, for so many seconds: each thread connects and ends, over and over. Prints logins a second,
// and the median and 99th percentile of how long one took, in milliseconds.
//
//   logins CONNINFO AT_ONCE SECONDS
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { most = 200000 };
static double took[most];
static atomic_int count;
static const char *conninfo;
static double end;

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *log_in(void *unused) {
  (void)unused;
  for (double begun = seconds(); begun < end; begun = seconds()) {
    PGconn *connection = PQconnectdb(conninfo);
    if (PQstatus(connection) != CONNECTION_OK) {
      fprintf(stderr, "logins: %s", PQerrorMessage(connection));
      exit(1);
    }
    double now = seconds();
    if (now < end) {
      int index = atomic_fetch_add(&count, 1);
      if (index < most) took[index] = now - begun;
    }
    PQfinish(connection);
  }
  return NULL;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int words, char **arguments) {
  if (words != 4) return 2;
  int at_once = atoi(arguments[2]);
  double time = atof(arguments[3]);
  conninfo = arguments[1];
  end = seconds() + time;
  pthread_t *threads = calloc((size_t)at_once, sizeof *threads);
  for (int i = 0; i < at_once; i++) pthread_create(&threads[i], NULL, log_in, NULL);
  for (int i = 0; i < at_once; i++) pthread_join(threads[i], NULL);
  int all = count < most ? count : most;
  if (all == 0) return 1;
  qsort(took, (size_t)all, sizeof *took, by_size);
  printf("%.0f %.1f %.1f\n", all / time, took[all / 2] * 1e3, took[all * 99 / 100] * 1e3);
  return 0;
}
