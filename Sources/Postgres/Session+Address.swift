import Glibc

extension Session {
  /// The numeric address of this end of a TCP connection, without an IPv6 zone; nil for a Unix socket.
  var localAddress: String? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &storage) { storage in
      storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address -> String? in
        guard getsockname(descriptor, address, &length) == 0,
          [AF_INET, AF_INET6].contains(Int32(address.pointee.sa_family))
        else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXHOST)) { text -> String? in
          guard let start = text.baseAddress,
            getnameinfo(address, length, start, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
          else { return nil }
          return String(String(cString: start).prefix { $0 != "%" })
        }
      }
    }
  }
}
