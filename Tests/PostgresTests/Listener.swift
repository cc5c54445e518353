import Glibc
import Support
import Synchronization

/// Something on 127.0.0.1 that is not PostgreSQL.
final class Listener: Sendable {
  enum Manner: Sendable {
    /// Connections are completed by the kernel, and nobody ever answers: a stopped server.
    case silent
    /// The queue of the kernel is full, so that packets to it are dropped: a black hole.
    case blackHole
    /// Every connection is closed at once.
    case hangsUp
    /// Every connection gets an answer that is not PostgreSQL's.
    case speaksHTTP
  }

  let port: Int
  private let socket: Int32
  private let others: Mutex<[Int32]>

  init(_ manner: Manner) throws {
    let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let port = try withUnsafeMutablePointer(to: &address) { address in
      try address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        guard bind(socket, $0, size) == 0, listen(socket, manner == .blackHole ? 0 : 64) == 0,
          getsockname(socket, $0, &size) == 0
        else { throw FixtureError("cannot listen") }
      }
      return Int(UInt16(bigEndian: address.pointee.sin_port))
    }
    self.socket = socket
    self.port = port
    var fillers: [Int32] = []
    if manner == .blackHole {
      // As many as it takes until the next one hangs.
      for _ in 0..<4 {
        let filler = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        withUnsafePointer(to: &address) {
          $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = connect(filler, $0, size) }
        }
        fillers.append(filler)
      }
    }
    others = Mutex(fillers)
    guard manner == .hangsUp || manner == .speaksHTTP else { return }
    let greeting = manner == .speaksHTTP ? "HTTP/1.1 400 Bad Request\r\n\r\n" : ""
    Task.detached {
      await blocking {
        while true {
          let client = accept(socket, nil, nil)
          if client < 0 { return }
          var byte: UInt8 = 0
          _ = read(client, &byte, 1)
          _ = send(client, greeting, greeting.utf8.count, Int32(MSG_NOSIGNAL))
          close(client)
        }
      }
    }
  }

  /// `close` would not wake whoever waits in `accept`.
  func stop() {
    shutdown(socket, Int32(SHUT_RDWR))
    others.withLock { others in
      others.forEach { close($0) }
      others = []
    }
  }

  deinit { close(socket) }
}
