import Glibc

/// Notices that a password file is another one than before: by its inode, size and time of change, through
/// symbolic links, as Kubernetes swaps a mounted secret.
struct PasswordWatch {
  private struct Stamp: Equatable {
    var device: UInt64
    var inode: UInt64
    var size: Int
    var seconds: Int
    var nanoseconds: Int
  }

  let path: String
  private var last: Stamp?

  init(path: String) {
    self.path = path
    last = Self.stamp(path)
  }

  mutating func hasChanged() -> Bool {
    let now = Self.stamp(path)
    defer { last = now }
    return now != last
  }

  private static func stamp(_ path: String) -> Stamp? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return Stamp(
      device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int(status.st_size),
      seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
  }
}
