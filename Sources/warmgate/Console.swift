import Glibc

/// Standard output and standard error of a command.
struct Console: Sendable {
  var output: Int32 = STDOUT_FILENO
  var errors: Int32 = STDERR_FILENO

  func print(_ line: String) { write(line + "\n", to: output) }

  /// A line about a failure, under the program's name.
  func complain(_ line: String) { write("warmgate: \(line)\n", to: errors) }

  /// Progress goes to standard error, so that standard output stays for the answer, and only to a terminal.
  var showsProgress: Bool { isatty(errors) == 1 }

  /// Replaces the line of progress that is there; empty removes it.
  func progress(_ line: String) {
    if showsProgress { write("\r\u{1B}[K\(line)", to: errors) }
  }

  private func write(_ text: String, to descriptor: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        bytes = bytes.dropFirst(count)
      } else if errno == EAGAIN {
        // Whoever started us may have made the descriptor non-blocking.
        var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        if poll(&waiting, 1, -1) < 0, errno != EINTR { return }
      } else if errno != EINTR {
        return
      }
    }
  }
}
