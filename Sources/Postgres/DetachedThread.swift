import Glibc

/// A thread that nobody waits for, with a stack for C libraries (a resolver, a TLS handshake) and no more.
enum DetachedThread {
  private static let stackSize = 512 * 1024

  /// The `errno` of the failure, 0 for none. `body` is a named function; it owns `argument`.
  static func start(
    _ body: @escaping @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?,
    _ argument: UnsafeMutableRawPointer?
  ) -> Int32 {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, stackSize)
    var thread = pthread_t()
    return pthread_create(&thread, &attributes, body, argument)
  }
}
