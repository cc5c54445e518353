import Glibc

/// A system call that failed.
public struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The call's name, such as `epoll_ctl`.
  public let call: String
  /// Its `errno`.
  public let code: Int32

  /// A call of this name that failed with this `errno`.
  public init(_ call: String, _ code: Int32) {
    self.call = call
    self.code = code
  }

  public var description: String { "\(call): \(errorText(code))" }
}

/// What the C library calls the error `code`, in the locale of the process, as libpq's messages are.
public func errorText(_ code: Int32) -> String {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
    guard let start = buffer.baseAddress, strerror_r(code, start, buffer.count) == 0 else {
      return "error \(code)"
    }
    return String(cString: start)
  }
}
