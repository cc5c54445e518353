import Glibc

/// An IP address in numbers.
enum IPAddress: Hashable, Sendable, CustomStringConvertible {
  /// 10.0.0.7 is 0x0A00_0007.
  case v4(UInt32)
  /// The first and the last eight bytes.
  case v6(UInt64, UInt64)

  /// As `inet_pton` reads it. A zone (`%eth0`) is not accepted.
  init?(_ text: String) {
    var v4 = in_addr()
    var v6 = in6_addr()
    if inet_pton(AF_INET, text, &v4) == 1 {
      self.init(v4)
    } else if inet_pton(AF_INET6, text, &v6) == 1 {
      self.init(v6)
    } else {
      return nil
    }
  }

  /// A client's. One of IPv4 that came through a socket of IPv6 is the same as without. Nil for a Unix socket.
  init?(_ name: UnsafePointer<sockaddr>?) {
    guard let name else { return nil }
    let raw = UnsafeRawPointer(name)
    switch Int32(name.pointee.sa_family) {
    case AF_INET: self.init(raw.loadUnaligned(as: sockaddr_in.self).sin_addr)
    case AF_INET6: self = IPAddress(raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr).unmapped
    default: return nil
    }
  }

  private init(_ address: in_addr) { self = .v4(UInt32(bigEndian: address.s_addr)) }

  private init(_ address: in6_addr) {
    self = withUnsafeBytes(of: address) { bytes in
      .v6(
        UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
  }

  /// Without the form in which IPv6 writes an address of IPv4 (RFC 4291, 2.5.5.2).
  private var unmapped: IPAddress {
    guard case .v6(0, let low) = self, low >> 32 == 0xFFFF else { return self }
    return .v4(UInt32(truncatingIfNeeded: low))
  }

  /// 127.0.0.0/8 (RFC 1122, 3.2.1.3), ::1 (RFC 4291, 2.5.3), and the former mapped into IPv6.
  var isLoopback: Bool {
    switch unmapped {
    case .v4(let address): address >> 24 == 127
    case .v6(let high, let low): high == 0 && low == 1
    }
  }

  /// As people write it: `10.0.0.7`, `2001:db8::7`.
  var description: String {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    switch self {
    case .v4(let address):
      var bytes = address.bigEndian
      inet_ntop(AF_INET, &bytes, &text, socklen_t(text.count))
    case .v6(let high, let low):
      var bytes = (high.bigEndian, low.bigEndian)
      inet_ntop(AF_INET6, &bytes, &text, socklen_t(text.count))
    }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

extension in_addr {
  init(_ v4: UInt32) { self.init(s_addr: v4.bigEndian) }
}

extension in6_addr {
  init(_ high: UInt64, _ low: UInt64) {
    self.init()
    withUnsafeMutableBytes(of: &self) { bytes in
      bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
      bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
    }
  }
}
