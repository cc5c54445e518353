/* The least that 64 callers over 10 connections can cost: one thread, one epoll set, first come first served, and
   messages of a prepared statement written by hand. No pool can be quicker without pipelining.

     floor URL SECONDS WORKERS CONNECTIONS

   Prints one line of JSON. libpq logs in; everything after that is raw. */
#include <arpa/inet.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct connection {
  int descriptor, worker;
  size_t have;
  unsigned char buffer[4096];
};

static struct connection *connections;
static int *queue, queue_head, queue_count, workers;
static uint64_t *asked, *done;
static uint32_t *samples;
static size_t sample_count, sample_room;
static int measuring;

/* Bind "" to "s" without parameters, result as text; Execute; Sync. */
static const unsigned char request[] = {'B', 0, 0, 0, 13, 0, 's', 0, 0, 0, 0, 0, 0, 0,
                                        'E', 0, 0, 0, 9, 0, 0, 0, 0, 0, 'S', 0, 0, 0, 4};

static void die(const char *what) {
  fprintf(stderr, "floor: %s\n", what);
  exit(1);
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static double processor_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void start(struct connection *connection) {
  connection->worker = queue[queue_head];
  queue_head = (queue_head + 1) % workers;
  queue_count--;
  if (send(connection->descriptor, request, sizeof request, MSG_NOSIGNAL) != (ssize_t)sizeof request) die("send");
}

static void finish(struct connection *connection) {
  int worker = connection->worker;
  uint64_t time = now();
  if (measuring) {
    done[worker]++;
    if (sample_count == sample_room) {
      sample_room *= 2;
      samples = realloc(samples, sample_room * sizeof *samples);
      if (!samples) die("memory");
    }
    samples[sample_count++] = (uint32_t)(time - asked[worker]);
  }
  asked[worker] = time;
  queue[(queue_head + queue_count++) % workers] = worker;
  start(connection);
}

static void readable(struct connection *connection) {
  ssize_t got = recv(connection->descriptor, connection->buffer + connection->have,
                     sizeof connection->buffer - connection->have, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) die("the server has closed a connection");
  connection->have += (size_t)got;
  size_t at = 0;
  int ready = 0;
  while (connection->have - at >= 5) {
    uint32_t length;
    memcpy(&length, connection->buffer + at + 1, 4);
    length = ntohl(length);
    if (length > sizeof connection->buffer - 1 || length < 4) die("a message out of bounds");
    if (connection->have - at < length + 1) break;
    if (connection->buffer[at] == 'E') die("the server reports an error");
    if (connection->buffer[at] == 'Z') ready = 1;
    at += length + 1;
  }
  memmove(connection->buffer, connection->buffer + at, connection->have - at);
  connection->have -= at;
  if (ready) finish(connection);
}

static int by_size(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

int main(int count, char **arguments) {
  if (count != 5) die("floor URL SECONDS WORKERS CONNECTIONS");
  double seconds = atof(arguments[2]);
  workers = atoi(arguments[3]);
  int total = atoi(arguments[4]);
  if (workers < total || total < 1) die("fewer workers than connections");
  connections = calloc((size_t)total, sizeof *connections);
  queue = calloc((size_t)workers, sizeof *queue);
  asked = calloc((size_t)workers, sizeof *asked);
  done = calloc((size_t)workers, sizeof *done);
  sample_room = 1 << 20;
  samples = malloc(sample_room * sizeof *samples);
  if (!connections || !queue || !asked || !done || !samples) die("memory");

  int set = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < total; i++) {
    PGconn *session = PQconnectdb(arguments[1]);
    if (PQstatus(session) != CONNECTION_OK) die(PQerrorMessage(session));
    PQclear(PQprepare(session, "s", "SELECT 1", 0, NULL));
    connections[i].descriptor = PQsocket(session);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
    if (epoll_ctl(set, EPOLL_CTL_ADD, connections[i].descriptor, &event)) die("epoll_ctl");
  }

  for (int i = 0; i < workers; i++) queue[queue_count++] = i, asked[i] = now();
  for (int i = 0; i < total; i++) start(&connections[i]);
  uint64_t begin = now() + 300000000, end = begin + (uint64_t)(seconds * 1e9), began = 0;
  double processor = 0;
  for (;;) {
    struct epoll_event events[64];
    int ready = epoll_wait(set, events, 64, -1);
    for (int i = 0; i < ready; i++) readable(events[i].data.ptr);
    uint64_t time = now();
    if (!measuring && time >= begin) measuring = 1, began = time, processor = processor_seconds();
    if (time >= end) {
      double elapsed = (double)(time - began) / 1e9;
      processor = processor_seconds() - processor;
      uint64_t slowest = UINT64_MAX, sum = 0;
      for (int i = 0; i < workers; i++) {
        sum += done[i];
        if (done[i] < slowest) slowest = done[i];
      }
      if (!sum) die("nothing was answered");
      qsort(samples, sample_count, sizeof *samples, by_size);
      printf("{\"ops\": %.1f, \"p50\": %.1f, \"p99\": %.1f, \"fairness\": %.4f, \"cpu\": %.3f}\n",
             (double)sum / elapsed, samples[sample_count / 2] / 1e3, samples[sample_count * 99 / 100] / 1e3,
             (double)slowest * workers / (double)sum, processor / (double)sum * 1e6);
      return 0;
    }
  }
}
