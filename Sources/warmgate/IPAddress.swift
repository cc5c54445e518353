import Glibc

/// An IP address in numbers, as `inet_pton` reads it. A zone (`%eth0`) is not accepted.
enum IPAddress {
  case v4(in_addr)
  case v6(in6_addr)

  init?(_ text: String) {
    var v4 = in_addr()
    var v6 = in6_addr()
    if inet_pton(AF_INET, text, &v4) == 1 {
      self = .v4(v4)
    } else if inet_pton(AF_INET6, text, &v6) == 1 {
      self = .v6(v6)
    } else {
      return nil
    }
  }

  /// 127.0.0.0/8 (RFC 1122, 3.2.1.3), ::1 (RFC 4291, 2.5.3), and the former mapped into IPv6.
  var isLoopback: Bool {
    switch self {
    case .v4(let address): return UInt32(bigEndian: address.s_addr) >> 24 == 127
    case .v6(let address):
      let bytes = withUnsafeBytes(of: address) { Array($0) }
      let isMapped = bytes.prefix(10).allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
      return isMapped ? bytes[12] == 127 : bytes.prefix(15).allSatisfy { $0 == 0 } && bytes[15] == 1
    }
  }
}
