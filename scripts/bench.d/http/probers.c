// Many probers, each on a connection that it keeps, at a steady pace whatever the answers do (an open loop). The time
// of an answer counts from the moment when its question was due, so a server that stalls is not asked less for it.
//
//   probers HOST PORT CONNECTIONS PER_SECOND SECONDS
//
// Prints one line of JSON, times in milliseconds. Questions on one connection may overtake the answers; HTTP answers
// them in order.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { window = 256, longest_answer = 4096 };

struct prober {
  int descriptor;
  // When the questions were due that are not answered yet.
  int64_t due[window];
  unsigned asked, answered;
  // What has come of the next answer.
  char answer[longest_answer];
  size_t length;
};

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "probers: %s\n", what);
  exit(1);
}

// With what the system says.
static void fail_call(const char *name) {
  perror(name);
  exit(1);
}

static char request[256];
static size_t request_length;
static int64_t *took;
static size_t answers, refusals;

static void ask(struct prober *prober, int64_t due) {
  if (prober->asked - prober->answered == window) fail("more questions than can wait for their answers");
  prober->due[prober->asked++ % window] = due;
  ssize_t sent = send(prober->descriptor, request, request_length, MSG_NOSIGNAL);
  if (sent != (ssize_t)request_length) fail_call("send");
}

// Takes off each whole answer. Every server here sends Content-Length.
static void take(struct prober *prober) {
  while (1) {
    prober->answer[prober->length] = 0;
    char *end = strstr(prober->answer, "\r\n\r\n");
    char *length = strcasestr(prober->answer, "\r\nContent-Length: ");
    if (!end) return;
    if (!length || length > end) fail("an answer without a length");
    size_t whole = end + 4 - prober->answer + strtoul(length + 18, NULL, 10);
    if (whole >= longest_answer) fail("an answer that is too long");
    if (prober->length < whole) return;
    if (prober->asked == prober->answered) fail("an answer that was not asked for");
    took[answers++] = now() - prober->due[prober->answered++ % window];
    if (strncmp(prober->answer, "HTTP/1.1 200 ", 13) != 0) refusals++;
    memmove(prober->answer, prober->answer + whole, prober->length -= whole);
  }
}

static void receive(struct prober *prober) {
  size_t room = longest_answer - 1 - prober->length;
  ssize_t got = recv(prober->descriptor, prober->answer + prober->length, room, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got < 0) fail_call("recv");
  if (got == 0) fail("a connection was closed");
  prober->length += got;
  take(prober);
}

static int compare(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

static double quantile(double share) { return took[(size_t)(share * (answers - 1))] / 1e6; }

int main(int count, char **words) {
  if (count != 6) return 2;
  const char *host = words[1];
  int port = atoi(words[2]), connections = atoi(words[3]);
  int64_t between = INT64_C(1000000000) / ((int64_t)connections * atoi(words[4]));
  size_t questions = (size_t)connections * atoi(words[4]) * atoi(words[5]);
  request_length = snprintf(
      request, sizeof request,
      "GET /ready HTTP/1.1\r\nHost: %s:%d\r\nUser-Agent: prober/1.0\r\nAccept: */*\r\n\r\n", host, port);

  took = calloc(questions, sizeof *took);
  struct prober *probers = calloc(connections, sizeof *probers);
  int set = epoll_create1(EPOLL_CLOEXEC);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, host, &address.sin_addr);
  for (int index = 0; index < connections; index++) {
    struct prober *prober = &probers[index];
    prober->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (prober->descriptor < 0) fail_call("socket");
    if (connect(prober->descriptor, (struct sockaddr *)&address, sizeof address) != 0) fail_call("connect");
    int on = 1;
    setsockopt(prober->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = prober};
    epoll_ctl(set, EPOLL_CTL_ADD, prober->descriptor, &event);
  }

  // Not woken later than it asked for.
  prctl(PR_SET_TIMERSLACK, 1);
  int64_t began = now() + 100000000, end = began + (int64_t)questions * between + INT64_C(5000000000);
  size_t asked = 0;
  while (answers < questions && now() < end) {
    while (asked < questions && began + (int64_t)asked * between <= now()) {
      ask(&probers[asked % connections], began + (int64_t)asked * between);
      asked++;
    }
    int64_t wait = asked < questions ? began + (int64_t)asked * between - now() : 100000000;
    struct timespec pause = {.tv_nsec = wait < 0 ? 0 : wait};
    struct epoll_event events[256];
    int ready = epoll_pwait2(set, events, 256, &pause, NULL);
    for (int index = 0; index < ready; index++) receive(events[index].data.ptr);
  }
  if (answers == 0) fail("no answer");
  qsort(took, answers, sizeof *took, compare);
  printf("{\"asked\": %zu, \"answered\": %zu, \"p50\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f}\n",
         questions, answers - refusals, quantile(0.5), quantile(0.99), quantile(0.999), quantile(1));
}
