import CLibpq
import Glibc

extension Session {
  /// Whether input has left the socket but is not in libpq's buffer yet, so that no event will announce it.
  ///
  /// A TLS record holds up to 16 KiB. A libpq that does not read on by itself takes less of it at a time if its
  /// buffer has less room; 15.18 was not seen to leave any. OpenSSL is asked by way of the dynamic linker: libpq has
  /// loaded it, and we need no more of it than this one number.
  var hasHiddenInput: Bool {
    guard let tls = PQsslStruct(connection, "OpenSSL") else { return false }
    return pendingInTLS?(tls) ?? 0 > 0
  }
}

private let pendingInTLS: (@convention(c) (UnsafeMutableRawPointer) -> Int32)? =
  // Nil handle: RTLD_DEFAULT.
  dlsym(nil, "SSL_pending").map {
    unsafeBitCast($0, to: (@convention(c) (UnsafeMutableRawPointer) -> Int32).self)
  }
