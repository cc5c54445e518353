import Foundation
import Synchronization

/// A TCP proxy on loopback that delays, cuts, half-closes, resets and swallows what goes through it. One thread with
/// `poll`.
///
/// What it reads from the server at once counts as one reply; a fault, if the dice say so, strikes with a reply.
public final class FaultProxy: Sendable {
  public enum Fault: String, Sendable, CaseIterable {
    /// A random part of the reply is passed on, then both sides are closed.
    case cutMidReply = "cut in the middle of a reply"
    /// The client reads the end of the stream instead of the reply; what it sends still arrives.
    case endToClient = "half-closed towards the client"
    /// The server reads the end of the stream; its reply still arrives.
    case endToServer = "half-closed towards the server"
    /// Both sides are reset.
    case reset = "reset"
  }

  /// How much later a piece of data arrives. Nothing overtakes: what is sent after it waits for it.
  public struct Delay: Sendable {
    /// The part that is always there.
    public var least: Duration = .zero
    /// The random part is even from nothing to this,
    public var jitter: Duration = .zero
    /// or, if this is more than nothing, exponential: this long on average, and mostly less.
    public var mean: Duration = .zero
    /// The most that an exponential one adds.
    public var most: Duration = .seconds(1)

    public init() {}

    func draw(_ random: inout SeededRandom) -> Duration {
      let dice = Double.random(in: 0..<1, using: &random)
      return least + (mean > .zero ? min(mean * -log(1 - dice), most) : jitter * dice)
    }
  }

  public let port: Int
  private let orders: Mutex<Orders>
  private let bell: Int32

  fileprivate struct Orders: Sendable {
    var towardsClient = Delay()
    var towardsServer = Delay()
    var isSilent = false
    var faults: [Fault] = []
    var probability = 0.0
    var struck: [Fault: Int] = [:]
    /// How often everything was to be reset.
    var resets = 0
    var stopping = false
  }

  /// Begins to pass connections on to `target`, a port on loopback.
  public init(to target: Int, seed: UInt64) throws {
    let port = freePort()
    let listener = try loopbackListener(port)
    // Sockets, because writing to one whose other end has gone can be done without a signal.
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else {
      throw Failed(step: "socketpair", code: errno)
    }
    for end in ends { Descriptors.closeOnExec(end) }
    let reading = ends[0]
    self.port = port
    orders = Mutex(Orders())
    bell = ends[1]
    Thread.detachNewThread { [weak self] in
      var relay = Relay(listener: listener, bell: reading, target: target, seed: seed)
      while relay.turn({ self?.read() ?? Orders(stopping: true) }, { self?.count($0) }) {}
      relay.close()
    }
  }

  deinit {
    close()
    Glibc.close(bell)
  }

  /// Every reply from now on arrives later by `time` and a random part of `jitter`, in order.
  public func delay(_ time: Duration, jitter: Duration = .zero) {
    var delay = Delay()
    (delay.least, delay.jitter) = (time, jitter)
    self.delay(towardsClient: delay, towardsServer: Delay())
  }

  /// Every piece of data from now on arrives later, in either direction, in order.
  public func delay(towardsClient: Delay, towardsServer: Delay) {
    orders.withLock { ($0.towardsClient, $0.towardsServer) = (towardsClient, towardsServer) }
  }

  /// From now on nothing goes through, and nothing ends: the data, the end of a stream and new connections are left
  /// in the kernel's buffers, which acknowledges them, until `heal`. So no timer of TCP's own notices.
  public func fallSilent() {
    orders.withLock { $0.isSilent = true }
    ring()
  }

  /// From now on each reply meets, with this probability, one of `faults`.
  public func strike(_ faults: [Fault], probability: Double) {
    orders.withLock { ($0.faults, $0.probability) = (faults, probability) }
  }

  /// Passes everything on as it comes.
  public func heal() {
    delay(.zero)
    strike([], probability: 0)
    orders.withLock { $0.isSilent = false }
    ring()
  }

  /// Resets every connection there is now, both sides, and goes on taking others. Does not wait for it.
  public func resetAll() {
    orders.withLock { $0.resets += 1 }
    ring()
  }

  /// How often each fault struck.
  public var struck: [Fault: Int] { orders.withLock { $0.struck } }

  /// Ends every connection, and takes no other.
  public func close() {
    orders.withLock { $0.stopping = true }
    ring()
  }

  /// Makes the thread look at its orders.
  private func ring() {
    var byte: UInt8 = 0
    _ = send(bell, &byte, 1, Int32(MSG_NOSIGNAL))
  }

  /// A call of the system that did not work.
  public struct Failed: Error, CustomStringConvertible {
    let step: String
    let code: Int32
    public var description: String { "\(step): \(String(cString: strerror(code)))" }
  }

  private func read() -> Orders { orders.withLock { $0 } }
  private func count(_ fault: Fault) { orders.withLock { $0.struck[fault, default: 0] += 1 } }
}

/// What the proxy's thread owns.
private struct Relay {
  let listener: Int32
  let bell: Int32
  let target: Int
  var random: SeededRandom
  var pairs: [Pair] = []
  var resets = 0

  init(listener: Int32, bell: Int32, target: Int, seed: UInt64) {
    (self.listener, self.bell, self.target) = (listener, bell, target)
    random = SeededRandom(seed: seed)
  }

  /// The bytes on their way in one direction.
  struct Flow {
    struct Piece {
      var due: ContinuousClock.Instant
      var bytes: ArraySlice<UInt8>
    }

    var pieces: [Piece] = []
    var sourceHasEnded = false
    var sinkHasEnded = false
    /// Its bytes are read and thrown away.
    var isBlind = false

    /// In order: not before what was sent earlier.
    mutating func append(_ bytes: ArraySlice<UInt8>, due: ContinuousClock.Instant) {
      pieces.append(Piece(due: max(due, pieces.last?.due ?? due), bytes: bytes))
    }
  }

  struct Pair {
    let client: Int32
    let server: Int32
    var up = Flow()
    var down = Flow()
    /// Closed as soon as the reply's part has been passed on.
    var isCut = false
    var isOver = false
  }

  /// Waits for something to happen, and does it. False: the end.
  mutating func turn(_ read: () -> FaultProxy.Orders, _ count: (FaultProxy.Fault) -> Void) -> Bool {
    var orders = read()
    if orders.stopping { return false }
    if orders.isSilent {
      var only = pollfd(fd: bell, events: Int16(POLLIN), revents: 0)
      _ = poll(&only, 1, -1)
      hearBell()
      return true
    }
    var polled = [
      pollfd(fd: bell, events: Int16(POLLIN), revents: 0),
      pollfd(fd: listener, events: Int16(POLLIN), revents: 0),
    ]
    let before = ContinuousClock.now
    var next: ContinuousClock.Instant?
    for pair in pairs {
      for (descriptor, source, sink) in [
        (pair.client, pair.up, pair.down), (pair.server, pair.down, pair.up),
      ] {
        var events: Int32 = source.sourceHasEnded || source.pieces.count > 1000 ? 0 : POLLIN
        if let due = sink.pieces.first?.due {
          if due <= before { events |= POLLOUT } else { next = next.map { min($0, due) } ?? due }
        }
        // A negative descriptor is passed over: one that has ended would report a hang-up again and again.
        polled.append(
          pollfd(fd: events == 0 ? -1 : descriptor, events: Int16(events), revents: 0))
      }
    }
    let wait = next.map { Int32(clamping: Int(($0 - before) / .milliseconds(1)) + 1) } ?? -1
    _ = poll(&polled, nfds_t(polled.count), wait)
    if polled[0].revents != 0 { hearBell() }
    orders = read()
    if orders.stopping { return false }
    if orders.isSilent { return true }
    if orders.resets != resets {
      resets = orders.resets
      for pair in pairs {
        reset(pair.client)
        reset(pair.server)
        close(pair)
      }
      pairs = []
      return true
    }
    let now = ContinuousClock.now
    for index in pairs.indices {
      if polled[2 + 2 * index].revents != 0 { readClient(index, orders, at: now) }
      if polled[3 + 2 * index].revents != 0 { readServer(index, orders, count, at: now) }
      advance(index, at: now)
    }
    for pair in pairs where pair.isOver { close(pair) }
    pairs.removeAll(where: \.isOver)
    if polled[1].revents != 0 { accept() }
    return true
  }

  /// Each ring has been heard once.
  private func hearBell() {
    var buffer = [UInt8](repeating: 0, count: 64)
    _ = recv(bell, &buffer, buffer.count, Int32(MSG_DONTWAIT))
  }

  func close() {
    for pair in pairs { close(pair) }
    for descriptor in [listener, bell] { Glibc.close(descriptor) }
  }

  private func close(_ pair: Pair) {
    Glibc.close(pair.client)
    Glibc.close(pair.server)
  }

  private mutating func accept() {
    let client = Glibc.accept(listener, nil, nil)
    guard client >= 0 else { return }
    guard let server = loopbackConnection(target) else {
      reset(client)
      Glibc.close(client)
      return
    }
    for descriptor in [client, server] {
      Descriptors.closeOnExec(descriptor)
      _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
      var on: Int32 = 1
      setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }
    pairs.append(Pair(client: client, server: server))
  }

  private mutating func readClient(
    _ index: Int, _ orders: FaultProxy.Orders, at now: ContinuousClock.Instant
  ) {
    switch receive(pairs[index].client) {
    case .nothing: break
    case .end: pairs[index].up.sourceHasEnded = true
    case .failed: pairs[index].isOver = true
    case .bytes(let bytes):
      if !pairs[index].up.isBlind {
        let due = now + orders.towardsServer.draw(&random)
        pairs[index].up.append(bytes[...], due: due)
      }
    }
  }

  private mutating func readServer(
    _ index: Int, _ orders: FaultProxy.Orders, _ count: (FaultProxy.Fault) -> Void,
    at now: ContinuousClock.Instant
  ) {
    switch receive(pairs[index].server) {
    case .nothing: break
    case .end: pairs[index].down.sourceHasEnded = true
    case .failed: pairs[index].isOver = true
    case .bytes(let bytes):
      guard !pairs[index].isCut, !pairs[index].down.isBlind else { return }
      let due = now + orders.towardsClient.draw(&random)
      var reply = bytes[...]
      if !orders.faults.isEmpty, Double.random(in: 0..<1, using: &random) < orders.probability,
        let fault = orders.faults.randomElement(using: &random)
      {
        count(fault)
        switch fault {
        case .cutMidReply:
          reply = reply.prefix(Int.random(in: 0..<bytes.count, using: &random))
          pairs[index].isCut = true
        case .endToClient:
          pairs[index].down.isBlind = true
          pairs[index].down.sinkHasEnded = true
          pairs[index].down.pieces = []
          shutdown(pairs[index].client, Int32(SHUT_WR))
          return
        case .endToServer:
          pairs[index].up.isBlind = true
          pairs[index].up.sinkHasEnded = true
          pairs[index].up.pieces = []
          shutdown(pairs[index].server, Int32(SHUT_WR))
        case .reset:
          reset(pairs[index].client)
          reset(pairs[index].server)
          pairs[index].isOver = true
          return
        }
      }
      pairs[index].down.append(reply, due: due)
    }
  }

  /// Passes on what is due, and the end of a stream after its last byte.
  private mutating func advance(_ index: Int, at now: ContinuousClock.Instant) {
    guard !pairs[index].isOver else { return }
    if !send(&pairs[index].up, to: pairs[index].server, at: now)
      || !send(&pairs[index].down, to: pairs[index].client, at: now)
      || pairs[index].isCut && pairs[index].down.pieces.isEmpty
    {
      pairs[index].isOver = true
    }
    if pairs[index].up.sinkHasEnded && pairs[index].up.sourceHasEnded && pairs[index].down.sinkHasEnded {
      pairs[index].isOver = true
    }
    // The server has ended the session: the other direction leads nowhere.
    if pairs[index].down.sourceHasEnded && pairs[index].down.pieces.isEmpty { pairs[index].isOver = true }
  }

  /// False: the other side is gone.
  private func send(_ flow: inout Flow, to sink: Int32, at now: ContinuousClock.Instant) -> Bool {
    while let piece = flow.pieces.first, piece.due <= now {
      var sent = 0
      if !piece.bytes.isEmpty {
        sent = piece.bytes.withUnsafeBytes { Glibc.send(sink, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        if sent < 0 { return errno == EAGAIN || errno == EINTR }
      }
      if sent == piece.bytes.count {
        flow.pieces.removeFirst()
      } else {
        flow.pieces[0].bytes = piece.bytes.dropFirst(sent)
      }
    }
    if flow.sourceHasEnded, flow.pieces.isEmpty, !flow.sinkHasEnded {
      flow.sinkHasEnded = true
      shutdown(sink, Int32(SHUT_WR))
    }
    return true
  }

  private enum Input {
    case nothing, end, failed
    case bytes([UInt8])
  }

  private func receive(_ descriptor: Int32) -> Input {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    if count > 0 { return .bytes(Array(buffer[..<count])) }
    if count == 0 { return .end }
    return errno == EAGAIN || errno == EINTR ? .nothing : .failed
  }
}

/// Its `close` sends a reset instead of an end.
private func reset(_ descriptor: Int32) {
  var now = linger(l_onoff: 1, l_linger: 0)
  setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
}

private func loopbackListener(_ port: Int) throws -> Int32 {
  let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  Descriptors.closeOnExec(listener)
  var on: Int32 = 1
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
  let bound = withLoopback(port) { bind(listener, $0, $1) }
  guard bound == 0, listen(listener, 128) == 0 else {
    throw FaultProxy.Failed(step: "listen on \(port)", code: errno)
  }
  return listener
}

private func loopbackConnection(_ port: Int) -> Int32? {
  let made = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  guard made >= 0 else { return nil }
  if withLoopback(port, { connect(made, $0, $1) }) == 0 { return made }
  close(made)
  return nil
}

private func withLoopback<Result>(
  _ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
) -> Result {
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = in_port_t(port).bigEndian
  address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
  return withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
    }
  }
}
