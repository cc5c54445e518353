import Foundation
import Synchronization

/// A TCP server that answers whatever arrives with fixed bytes and closes. `atHighPriority`: see `Observer`.
public final class CannedServer: Sendable {
  public let port: Int
  private let listener: Int32
  private let answer: Mutex<String>

  public init(_ answer: String, atHighPriority: Bool = false) throws {
    self.answer = Mutex(answer)
    port = freePort()
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard bound == 0, listen(listener, 16) == 0 else { throw FixtureError("cannot listen on \(port)") }
    Thread.detachNewThread { [listener, weak self] in
      if atHighPriority { raisePriorityOfThread() }
      // Closed by the thread that accepts on it: another one would soon have a socket of that number.
      defer { close(listener) }
      var buffer = [UInt8](repeating: 0, count: 4096)
      while true {
        let client = accept(listener, nil, nil)
        if client < 0, errno == EINTR || errno == ECONNABORTED { continue }
        guard client >= 0 else { return }
        guard let answer = self?.answer.withLock({ $0 }) else {
          close(client)
          return
        }
        while read(client, &buffer, buffer.count) < 0, errno == EINTR {}
        _ = answer.withCString { send(client, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
        close(client)
      }
    }
  }

  deinit {
    // Wakes the thread in accept.
    shutdown(listener, Int32(SHUT_RDWR))
  }

  public func willAnswer(_ text: String) { answer.withLock { $0 = text } }
}
