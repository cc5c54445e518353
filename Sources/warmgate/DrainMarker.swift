import Glibc

/// The file that remembers a drain across a restart of the container (`--drain-marker`).
struct DrainMarker: Sendable {
  let path: String

  var exists: Bool { access(path, F_OK) == 0 }

  /// False, with `errno` set, if it could not be written. It is on the disk when this returns: a SIGKILL does not
  /// undo a drain.
  func write() -> Bool {
    let descriptor = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return fsync(descriptor) == 0
  }

  /// False, with `errno` set, if it is still there.
  func remove() -> Bool { unlink(path) == 0 || errno == ENOENT }
}
