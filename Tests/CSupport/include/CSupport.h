// What the tests need from Linux and the Glibc overlay of Swift leaves out (it is built without _GNU_SOURCE).
#pragma once
#include <sys/types.h>

/// Starts argv[0] (looked up in PATH) in a session of its own, with the three descriptors as 0, 1 and 2 and no
/// other, default signal dispositions and an empty signal mask. Returns 0 and sets *pid, or an errno.
int support_spawn(pid_t *pid, char *const argv[], char *const envp[], int input, int output, int errors);

/// Moves the calling thread into the network namespace that the descriptor stands for. 0 or an errno.
int support_enter_network_namespace(int descriptor);

/// Waits until the child has ended, without reaping it.
void support_wait_for_end(pid_t pid);
