import PoolCore

/// The listener for HAProxy's agent check: tells whoever connects, in one line, and closes. Read-only; what is sent to
/// it is not looked at.
public final class AgentServer: Sendable {
  /// Where it listens: port 0 is resolved.
  public var address: ListenAddress { listener.address }
  private let listener: StreamListener

  /// Starts to listen; clients are answered when it returns. `observe` is called for every answer, on the listener's
  /// thread, and must not block. Who asks is noted in `probers`.
  ///
  /// - Parameter degradedWeight: what a degraded instance gets of its weight in HAProxy, in percent. Less than 100 only
  ///   where weights are large: HAProxy cuts the product to a whole number, and half of its default, 1, is 0, which is
  ///   no traffic at all.
  public convenience init(
    listen: ListenAddress, degradedWeight: Int = 100, probers: Probers? = nil,
    observe: @escaping @Sendable () -> Observation
  ) throws(ListenError) {
    try self.init(
      listen: listen, degradedWeight: degradedWeight, limits: .agent(), probers: probers, observe: observe)
  }

  init(
    listen: ListenAddress, degradedWeight: Int = 100, limits: ListenLimits, probers: Probers? = nil,
    observe: @escaping @Sendable () -> Observation
  ) throws(ListenError) {
    listener = try StreamListener(setting: "agent-listen", listen, name: "warmgate-agent", limits: limits) {
      peer, _ in
      let observation = observe()
      probers?.asked(by: peer, .agent, observation)
      return AgentConversation(AgentReply.line(observation, degradedWeight: degradedWeight))
    }
  }

  deinit { listener.stop() }

  /// Stops listening and closes every connection; returns within half a second. A second call does nothing.
  public func stop() { listener.stop() }
}

extension StreamListener {
  convenience init(
    setting: String, _ address: ListenAddress, name: String, limits: ListenLimits,
    begin: @escaping (IPAddress?, Instant) -> (any Conversation)?
  ) throws(ListenError) {
    do throws(ListenSocket.Failure) {
      try self.init(socket: try ListenSocket(address), name: name, limits: limits, begin: begin)
    } catch {
      throw ListenError(setting, address, error)
    }
  }
}

/// One line, said at once: HAProxy's `agent-send` may send something first, and need not.
private final class AgentConversation: Conversation {
  private var line: [UInt8]

  init(_ line: String) { self.line = Array(line.utf8) }

  func receive(_ bytes: UnsafeRawBufferPointer, at now: Instant) {}

  func takeOutput() -> [UInt8] {
    defer { line = [] }
    return line
  }

  var isOver: Bool { line.isEmpty }
  func end() {}
}
