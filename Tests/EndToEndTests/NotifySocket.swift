import Foundation
import Support
import Synchronization

/// A service manager's end of sd_notify(3): a datagram socket, and what has come in on it.
final class NotifySocket: Sendable {
  /// What `NOTIFY_SOCKET` says.
  let name: String
  private let descriptor: Int32
  private let received = Mutex<[String]>([])
  private let directory: TemporaryDirectory

  /// At a path, or in the abstract namespace.
  init(abstract: Bool = false) throws {
    directory = try TemporaryDirectory()
    name = (abstract ? "@" : "") + directory.file("notify")
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = abstract ? [0] + Array(name.utf8.dropFirst()) : Array(name.utf8) + [0]
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let size = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
    let result = withUnsafeBytes(of: address) { bytes in
      bytes.withMemoryRebound(to: sockaddr.self) { bind(descriptor, $0.baseAddress, size) }
    }
    guard descriptor >= 0, result == 0 else { throw FixtureError("cannot bind \(name)") }
  }

  deinit {
    close(descriptor)
    directory.remove()
  }

  /// Every line so far, in the order in which they came.
  var lines: [String] {
    received.withLock { lines in
      var buffer = [UInt8](repeating: 0, count: 8192)
      while true {
        let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        guard count > 0 else { return lines }
        lines += String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n").map(String.init)
      }
    }
  }

  var statuses: [String] { values(of: "STATUS") }
  func values(of key: String) -> [String] {
    lines.filter { $0.hasPrefix("\(key)=") }.map { String($0.dropFirst(key.count + 1)) }
  }
  func has(_ line: String) -> Bool { lines.contains(line) }
}
