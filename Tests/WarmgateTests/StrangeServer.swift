import Foundation
import Support
import Synchronization

/// A TCP server that answers each request with whatever bytes the test wants, or, with nil, not at all.
final class StrangeServer: Sendable {
  let port: Int
  private let listener: Int32
  private let shared = Shared()

  private final class Shared: Sendable {
    let requests = Mutex<[String]>([])
    let silent = Mutex<[Int32]>([])
  }

  var requests: [String] { shared.requests.withLock { $0 } }

  init(_ answer: @escaping @Sendable (String) -> String?) throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    self.listener = listener
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, size) == 0 && getsockname(listener, $0, &size) == 0
      }
    }
    guard bound, listen(listener, 16) == 0 else { throw FixtureError("cannot listen") }
    port = Int(in_port_t(bigEndian: address.sin_port))
    let shared = shared
    Thread.detachNewThread {
      var buffer = [UInt8](repeating: 0, count: 4096)
      while true {
        let client = accept(listener, nil, nil)
        guard client >= 0 else { return }
        _ = fcntl(client, F_SETFD, FD_CLOEXEC)
        let count = read(client, &buffer, buffer.count)
        let request = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        shared.requests.withLock { $0.append(request) }
        guard let text = answer(request) else {
          shared.silent.withLock { $0.append(client) }
          continue
        }
        _ = text.withCString { send(client, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
        close(client)
      }
    }
  }

  deinit {
    // Wakes the thread in accept.
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
    shared.silent.withLock { for client in $0 { close(client) } }
  }
}
