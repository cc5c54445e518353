#ifndef CLINUX_H
#define CLINUX_H
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

/// Names the calling thread, for /proc and debuggers. Cut at 15 bytes, the kernel's limit.
void clinux_name_thread(const char *name);
#endif
