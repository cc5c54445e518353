import Foundation
import Synchronization

/// A TCP port on which nothing listens at this moment, given out once per process.
///
/// It lies below the range from which the kernel takes ports for outgoing connections, so that it does not get
/// lost while a server is down between two starts. Another process can still take it: whoever needs certainty
/// tries again with another.
public func freePort() -> Int {
  while true {
    let port = Int.random(in: 10_000..<lowestOutgoingPort)
    // Looking takes the port for a moment: nobody looks at one that another has been given.
    if givenOut.withLock({ $0.insert(port).inserted }), isFree(port) { return port }
  }
}

private let givenOut = Mutex<Set<Int>>([])

private let lowestOutgoingPort: Int = {
  let text = try? String(contentsOfFile: "/proc/sys/net/ipv4/ip_local_port_range", encoding: .utf8)
  let lowest = text?.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) } ?? 32_768
  return lowest > 12_000 ? min(lowest, 60_000) : 60_000
}()

private func isFree(_ port: Int) -> Bool {
  let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  guard socket >= 0 else { return false }
  defer { close(socket) }
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = in_port_t(port).bigEndian
  address.sin_addr.s_addr = 0
  return withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
    }
  }
}
