#ifndef CLINUX_H
#define CLINUX_H
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

/// Names the calling thread, for /proc and debuggers. Cut at 15 bytes, the kernel's limit.
void clinux_name_thread(const char *name);

/// Calls `visit` for every segment of the program and of its libraries that is mapped without the right to write. No
/// library is unloaded meanwhile: the loader's lock is held (dl_iterate_phdr(3)).
void clinux_read_only_segments(void (*visit)(uintptr_t start, size_t size, void *context), void *context);

/// Calls `visit` with the name of the program (empty), of each library and of the loader: a path, as it was looked
/// for, or a bare name of what is no file. Valid during the call.
void clinux_loaded_objects(void (*visit)(const char *name, void *context), void *context);

/// 1 if it is a TCP socket that is not connected any more, by a reset or a time-out: `TCP_CLOSE` in `tcp_info`
/// (tcp(7)). 0 if it is another state, or another kind of socket.
int clinux_tcp_is_closed(int socket);
#endif
