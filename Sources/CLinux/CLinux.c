#define _GNU_SOURCE
#include "CLinux.h"

#include <link.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

void clinux_name_thread(const char *name) {
  char cut[16];
  snprintf(cut, sizeof cut, "%s", name);
  pthread_setname_np(pthread_self(), cut);
}

struct visitor {
  void (*visit)(uintptr_t start, size_t size, void *context);
  void *context;
};

static int visit_object(struct dl_phdr_info *object, size_t size, void *argument) {
  (void)size;
  const struct visitor *visitor = argument;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
    if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W))
      visitor->visit(object->dlpi_addr + segment->p_vaddr, segment->p_memsz, visitor->context);
  }
  return 0;
}

void clinux_read_only_segments(void (*visit)(uintptr_t start, size_t size, void *context), void *context) {
  struct visitor visitor = {visit, context};
  dl_iterate_phdr(visit_object, &visitor);
}

struct name_visitor {
  void (*visit)(const char *name, void *context);
  void *context;
};

static int visit_name(struct dl_phdr_info *object, size_t size, void *argument) {
  (void)size;
  const struct name_visitor *visitor = argument;
  visitor->visit(object->dlpi_name, visitor->context);
  return 0;
}

void clinux_loaded_objects(void (*visit)(const char *name, void *context), void *context) {
  struct name_visitor visitor = {visit, context};
  dl_iterate_phdr(visit_name, &visitor);
}

int clinux_tcp_is_closed(int socket) {
  struct tcp_info info;
  socklen_t size = sizeof info;
  return getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_state == TCP_CLOSE;
}
