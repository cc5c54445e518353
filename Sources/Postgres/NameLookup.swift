import EventLoop
import Glibc
import PoolCore

/// Looks a host name up, on the calling thread, for as long as the system's resolver takes.
enum NameLookup {
  /// The addresses, numeric, in the resolver's order of preference, each once.
  static func addresses(of name: String) throws(Fault) -> [String] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_family = AF_UNSPEC
    var found: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(name, nil, &hints, &found)
    defer { if let found { freeaddrinfo(found) } }
    guard code == 0 else { throw fault(code) }
    var addresses: [String] = []
    var next = found
    while let entry = next {
      if let text = numeric(entry.pointee), !addresses.contains(text) { addresses.append(text) }
      next = entry.pointee.ai_next
    }
    if addresses.isEmpty { throw Fault(.nameNotFound, at: .name, message: "the name has no address") }
    return addresses
  }

  private static func numeric(_ entry: addrinfo) -> String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXHOST)) { buffer in
      guard let start = buffer.baseAddress,
        getnameinfo(entry.ai_addr, entry.ai_addrlen, start, socklen_t(buffer.count), nil, 0, NI_NUMERICHOST)
          == 0
      else { return nil }
      return String(cString: start)
    }
  }

  /// glibc's `EAI_NODATA`, which its headers hide: the name exists and has no address.
  private static let noData: Int32 = -5

  private static func fault(_ code: Int32) -> Fault {
    let kind: Fault.Kind = code == EAI_NONAME || code == noData ? .nameNotFound : .nameLookupFailed
    let text = code == EAI_SYSTEM ? errorText(errno) : String(cString: gai_strerror(code))
    return Fault(kind, at: .name, message: text)
  }
}
