import Glibc

/// A listener that cannot be started: one line that says which setting, what failed, and what to do.
public struct ListenError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The setting's flag without its dashes: `listen`, `admin-listen`, `admin-token-file`, `agent-listen` or `grpc-listen`.
  public let setting: String
  public let description: String

  init(_ setting: String, _ description: String) {
    self.setting = setting
    self.description = "--\(setting) \(description)"
  }

  init(_ setting: String, _ address: ListenAddress, _ failure: ListenSocket.Failure) {
    let text =
      switch (failure.code, address.unixPath) {
      case (EADDRINUSE, nil):
        "port \(address.port ?? 0) is in use by another process; stop that one or choose another port"
      case (EADDRINUSE, _): "another process answers on this socket; stop that one or choose another path"
      case (EEXIST, _): "the path exists and is not a socket; remove it or choose another path"
      case (EACCES, nil), (EPERM, nil):
        "not permitted to bind port \(address.port ?? 0); ports below 1024 need CAP_NET_BIND_SERVICE"
      case (EACCES, _), (EPERM, _): "not permitted to make a socket there; the directory must be writable"
      case (ENOENT, _), (ENOTDIR, _): "the directory does not exist; make it first"
      case (EROFS, _): "the file system is read-only; mount an emptyDir there or choose another path"
      case (EADDRNOTAVAIL, _): "this machine does not have that address"
      case (EAFNOSUPPORT, _): "this machine does not have that IP family"
      case (EMFILE, _), (ENFILE, _): "no file descriptor left; raise the limit of open files"
      default: "\(failure.step) failed: \(String(cString: strerror(failure.code)))"
      }
    self.init(setting, "\(address): \(text)")
  }
}
