// Starts a program and prints the milliseconds from just before its exec, and when that was (CLOCK_BOOTTIME)
//
//   stopwatch exit COMMAND…            until it has ended
//   stopwatch ready PORT COMMAND…      until http://127.0.0.1:PORT/ready has first answered 200; then kills it
//
// The observer asks again 0.2 ms after each answer, on one connection while the server keeps it: often enough to
// see the moment, seldom enough to leave the processor to those it watches.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double milliseconds(void) {
  struct timespec now;
  // The clock of Warmgate's log.
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void breathe(void) {
  struct timespec pause = {0, 200000};
  nanosleep(&pause, NULL);
}

static int dial(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
  }
  close(fd);
  return -1;
}

// The status of /ready; 0 if there was none.
static int ask(int *fd, int port) {
  static const char request[] = "GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n";
  char answer[8192];
  if (*fd < 0 && (*fd = dial(port)) < 0) return 0;
  struct pollfd wait = {.fd = *fd, .events = POLLIN};
  ssize_t size = -1;
  if (send(*fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0 && poll(&wait, 1, 1000) == 1)
    size = recv(*fd, answer, sizeof answer - 1, 0);
  if (size < 12) {
    close(*fd);
    *fd = -1;
    return 0;
  }
  answer[size] = 0;
  return atoi(answer + 9);
}

int main(int count, char **arguments) {
  int until_ready = count > 3 && strcmp(arguments[1], "ready") == 0;
  if (!until_ready && !(count > 2 && strcmp(arguments[1], "exit") == 0)) return 2;
  int port = until_ready ? atoi(arguments[2]) : 0, status = 0;
  char **command = arguments + (until_ready ? 3 : 2);

  double began = milliseconds();
  pid_t child = fork();
  if (child == 0) {
    execvp(command[0], command);
    perror(command[0]);
    _exit(127);
  }
  if (!until_ready) {
    waitpid(child, &status, 0);
    double took = milliseconds() - began;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return 1;
    printf("%.3f %.3f\n", took, began);
    return 0;
  }
  for (int fd = -1; ask(&fd, port) != 200; breathe()) {
    if (milliseconds() - began > 20000 || waitpid(child, &status, WNOHANG) == child) {
      fprintf(stderr, "stopwatch: never ready\n");
      kill(child, SIGKILL);
      return 1;
    }
  }
  printf("%.3f %.3f\n", milliseconds() - began, began);
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return 0;
}
