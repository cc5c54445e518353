import Glibc

/// File descriptors that no program started by this process inherits.
package enum Descriptors {
  package static func pipe() -> (reading: Int32, writing: Int32) {
    var ends: [Int32] = [-1, -1]
    guard Glibc.pipe(&ends) == 0 else { fatalError("no pipe: \(errno)") }
    for end in ends { closeOnExec(end) }
    return (ends[0], ends[1])
  }

  package static func closeOnExec(_ descriptor: Int32) {
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
  }
}
