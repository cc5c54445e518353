import Glibc

/// The address of a client, without its port. One of IPv4 that reached us through IPv6 is the same as without.
struct PeerAddress: Hashable, Sendable, CustomStringConvertible {
  /// As IPv6: 128 bits in network order, IPv4 mapped (RFC 4291, 2.5.5.2).
  private let high: UInt64
  private let low: UInt64

  private static let mapped: UInt64 = 0xFFFF << 32

  /// Nil for what is no address of IP: a Unix socket.
  init?(_ name: UnsafePointer<sockaddr>?) {
    guard let name else { return nil }
    let raw = UnsafeRawPointer(name)
    switch Int32(name.pointee.sa_family) {
    case AF_INET:
      let address = raw.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr
      (high, low) = (0, Self.mapped | UInt64(UInt32(bigEndian: address)))
    case AF_INET6:
      let address = raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr
      (high, low) = withUnsafeBytes(of: address) { bytes in
        (
          UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
          UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        )
      }
    default: return nil
    }
  }

  /// An address of IPv4, such as 0x0A00_0007 for 10.0.0.7.
  init(v4 address: UInt32) { (high, low) = (0, Self.mapped | UInt64(address)) }

  private var isV4: Bool { high == 0 && low >> 32 == 0xFFFF }

  /// 127.0.0.0/8 and ::1.
  var isLoopback: Bool { high == 0 && (low == 1 || isV4 && low >> 24 & 0xFF == 127) }

  var description: String {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    if isV4 {
      var address = in_addr(s_addr: UInt32(truncatingIfNeeded: low).bigEndian)
      inet_ntop(AF_INET, &address, &text, socklen_t(text.count))
    } else {
      var address = (high.bigEndian, low.bigEndian)
      inet_ntop(AF_INET6, &address, &text, socklen_t(text.count))
    }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
