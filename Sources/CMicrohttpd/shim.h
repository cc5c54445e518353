// GNU libmicrohttpd for Swift: what the importer cannot read (variadic functions, closed enums) as plain functions.
#ifndef WARMGATE_CMICROHTTPD_SHIM_H
#define WARMGATE_CMICROHTTPD_SHIM_H

#include <microhttpd.h>

#include <malloc.h>
#include <pthread.h>
// The listener's thread is woken with one; Glibc's Swift overlay leaves it out.
#include <sys/eventfd.h>
#include <sys/socket.h>

// Declared by glibc for _GNU_SOURCE only, which the importer does not define.
int accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);
int pthread_setname_np(pthread_t thread, const char *name);

// Which module the SOCK_ constants belong to depends on who includes sys/socket.h first, so Swift cannot always see
// them. -1 and errno, as the system calls they are.
static inline int warmgate_stream_socket(int family) {
  return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}
static inline int warmgate_accept(int descriptor, struct sockaddr *address, socklen_t *length) {
  return accept4(descriptor, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

// A daemon without a thread and without a listening socket of its own: the caller accepts, and calls MHD_run when
// the epoll descriptor of warmgate_mhd_epoll_fd is readable or MHD_get_timeout says so, always from one thread.
// Limits of time are the caller's as well (the library's own counts idleness only).
static inline struct MHD_Daemon *warmgate_mhd_start(
    MHD_AccessHandlerCallback handler, MHD_RequestCompletedCallback completed,
    MHD_NotifyConnectionCallback connection_changed, void *context, unsigned int connection_limit,
    size_t connection_memory) {
  return MHD_start_daemon(
      MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, handler, context,
      MHD_OPTION_NOTIFY_COMPLETED, completed, context,
      MHD_OPTION_NOTIFY_CONNECTION, connection_changed, context,
      MHD_OPTION_CONNECTION_LIMIT, connection_limit,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, connection_memory,
      MHD_OPTION_CONNECTION_TIMEOUT, 0u,
      MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
      MHD_OPTION_END);
}

// -1 if there is none.
static inline int warmgate_mhd_epoll_fd(struct MHD_Daemon *daemon) {
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
  return info ? info->epoll_fd : -1;
}

// -1 if there is none.
static inline int warmgate_mhd_connection_fd(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info ? info->connect_fd : -1;
}

// What the connection callback stored when the connection began.
static inline void *warmgate_mhd_socket_context(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info ? info->socket_context : NULL;
}

// Where the client is; null for a Unix socket.
static inline const struct sockaddr *warmgate_mhd_client_address(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  return info ? info->client_addr : NULL;
}

#endif
