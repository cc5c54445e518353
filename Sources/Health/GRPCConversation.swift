import CNghttp2
import PoolCore

/// One connection of a gRPC client: nghttp2 speaks HTTP/2, and here is what the calls are answered with.
///
/// It owns the library's session, which is used on the listener's thread alone and calls back from within `receive`
/// and `takeOutput`.
final class GRPCConversation: Conversation {
  /// Calls that may be open at the same time on one connection.
  static let streams: UInt32 = 100
  /// Acknowledgements of PING and SETTINGS that may wait: what a client can make us send without reading it.
  static let acknowledgements = 200
  /// Calls that a client may cancel at once, and per second after that ("rapid reset", CVE-2023-44487).
  static let resets: UInt64 = 200
  static let resetsPerSecond: UInt64 = 50
  /// How often somebody who watches is compared with. A verdict changes without anything being published, too: it goes
  /// stale. So it has to be looked at in any case, and while nobody watches, nobody looks.
  static let look: Duration = .milliseconds(100)

  private static let sentAtOnce = 8 * 1024

  private var session: OpaquePointer?
  private let board: StatusBoard
  private let limits: ListenLimits
  private let checked: (String?, Instant) -> Void
  private var calls: [Int32: GRPCCall] = [:]
  /// Since when no call is open.
  private var restsSince: Instant
  private var hasGreeted = false
  private(set) var isBroken = false
  private var nextLook: Instant?
  private var watching = 0
  /// No call is given up before this moment.
  private var nextDeadline = Instant.distantFuture
  /// The turn's time, for what the library calls back.
  private var now: Instant

  /// Nil without memory. `checked` is called, with the client's own name for itself and the turn's time, for every check
  /// of readiness that is answered.
  init?(
    _ board: StatusBoard, limits: ListenLimits, at now: Instant,
    checked: @escaping (String?, Instant) -> Void
  ) {
    self.board = board
    self.checked = checked
    self.limits = limits
    self.now = now
    restsSince = now
    session = warmgate_h2_server(
      warmgate_h2_callbacks(
        begin_headers: grpcBeginHeaders, header: grpcHeader, data: grpcData, received: grpcReceived,
        sent: grpcSent, closed: grpcClosed, context: Unmanaged.passUnretained(self).toOpaque()),
      warmgate_h2_limits(
        streams: Self.streams, header_list: UInt32(GRPCCall.longestHeaders),
        acknowledgements: Self.acknowledgements, resets: Self.resets,
        resets_per_second: Self.resetsPerSecond))
    if session == nil { return nil }
  }

  deinit { nghttp2_session_del(session) }

  // MARK: - Conversation

  func receive(_ bytes: UnsafeRawBufferPointer, at now: Instant) {
    self.now = now
    let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    // What the client does wrong within HTTP/2 is answered with GOAWAY by the library; this is what is not HTTP/2, a
    // flood, or no memory.
    if nghttp2_session_mem_recv(session, start, bytes.count) < 0 { isBroken = true }
  }

  /// The library gives one frame at a time, and an answer is three.
  func takeOutput() -> [UInt8] {
    var output: [UInt8] = []
    while !isBroken, output.count < Self.sentAtOnce {
      var data: UnsafePointer<UInt8>?
      let count = nghttp2_session_mem_send(session, &data)
      if count < 0 { isBroken = true }
      guard count > 0, let data else { break }
      output.append(contentsOf: UnsafeBufferPointer(start: data, count: count))
    }
    return output
  }

  var isOver: Bool { nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0 }

  var wakeAt: Instant? {
    if !hasGreeted { return restsSince + limits.arrival }
    let rest = calls.isEmpty ? restsSince + limits.rest : .distantFuture
    let next = min(rest, nextDeadline, nextLook ?? .distantFuture)
    return next == .distantFuture ? nil : next
  }

  func wake(at now: Instant) {
    self.now = now
    if !hasGreeted, restsSince + limits.arrival <= now { isBroken = true }
    if calls.isEmpty, restsSince + limits.rest <= now { end() }
    giveUp()
    guard let time = nextLook, time <= now else { return }
    nextLook = now + Self.look
    for (id, call) in calls where call.hasNews(board, at: now) { nghttp2_session_resume_data(session, id) }
  }

  /// GOAWAY: a client that wants more connects again.
  func end() { nghttp2_session_terminate_session(session, NGHTTP2_NO_ERROR.rawValue) }

  /// Ends the calls whose time is over.
  private func giveUp() {
    guard nextDeadline <= now else { return }
    for (id, call) in calls where call.deadline <= now {
      if !call.hasHeaders {
        // Frames are not interleaved with headers: nothing else can arrive before the rest of them.
        isBroken = true
      } else if case .watching = call.phase {
        calls[id]?.phase = .answering
        calls[id]?.deadline = .distantFuture
        nghttp2_session_resume_data(session, id)
      } else {
        answer(id, .refusal(.deadlineExceeded, "the request has not arrived in time"))
      }
    }
    nextDeadline = calls.values.map(\.deadline).min() ?? .distantFuture
  }

  private func answer(_ id: Int32, _ reply: GRPCCall.Reply) {
    guard calls[id]?.phase == .arriving else { return }
    calls[id]?.begin(reply)
    switch reply {
    case .message: warmgate_h2_answer(session, id, grpcRead)
    case .watch:
      nextDeadline = min(nextDeadline, calls[id]?.deadline ?? .distantFuture)
      watching += 1
      nextLook = nextLook ?? now + Self.look
      warmgate_h2_answer(session, id, grpcRead)
    case .refusal(let status, let message):
      warmgate_h2_refusal(session, id, String(status.rawValue), message)
    case .http(let status): warmgate_h2_status(session, id, status)
    }
  }

  // MARK: - What the library's callbacks say

  fileprivate func began(_ id: Int32) {
    let call = GRPCCall(at: now, arrival: limits.arrival)
    calls[id] = call
    nextDeadline = min(nextDeadline, call.deadline)
  }

  fileprivate func header(
    _ id: Int32, _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>
  ) -> Bool {
    guard calls[id]?.hasHeaders == false else { return true }
    defer { nextDeadline = min(nextDeadline, calls[id]?.deadline ?? .distantFuture) }
    return calls[id]?.add(header: name, value) ?? true
  }

  fileprivate func data(_ id: Int32, _ bytes: UnsafeBufferPointer<UInt8>) {
    guard calls[id]?.phase == .arriving else { return }
    if calls[id]?.add(body: bytes) == false {
      answer(id, .refusal(.resourceExhausted, "the message is longer than 1024 bytes"))
    }
  }

  fileprivate func received(_ id: Int32, _ type: UInt32, _ flags: UInt32) {
    if type == NGHTTP2_SETTINGS.rawValue { hasGreeted = true }
    guard let call = calls[id] else { return }
    if type == NGHTTP2_HEADERS.rawValue { calls[id]?.hasHeaders = true }
    if flags & NGHTTP2_FLAG_END_STREAM.rawValue != 0 {
      let reply = call.reply(board, at: now)
      if call.phase == .arriving, case .message = reply, call.asksReadiness { checked(call.userAgent, now) }
      answer(id, reply)
    }
  }

  /// An answer that has gone out whole before its request had come in: the rest of that is not wanted.
  fileprivate func sent(_ id: Int32, _ flags: UInt32) {
    guard calls[id] != nil, flags & NGHTTP2_FLAG_END_STREAM.rawValue != 0,
      nghttp2_session_get_stream_remote_close(session, id) == 0
    else { return }
    nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, NGHTTP2_NO_ERROR.rawValue)
  }

  fileprivate func closed(_ id: Int32) {
    guard let call = calls.removeValue(forKey: id) else { return }
    if call.isWatch { watching -= 1 }
    if watching == 0 { nextLook = nil }
    if calls.isEmpty {
      restsSince = now
      nextDeadline = .distantFuture
    }
  }

  /// The next bytes of an answer: how many, whether those were the last, nil if there are none for now.
  fileprivate func read(_ id: Int32, into space: UnsafeMutableBufferPointer<UInt8>) -> (Int, isLast: Bool)? {
    guard calls[id] != nil else { return (0, true) }
    calls[id]?.tell(board, at: now)
    let bytes = calls[id]?.unsent.prefix(space.count) ?? []
    _ = space.update(fromContentsOf: bytes)
    calls[id]?.unsent.removeFirst(bytes.count)
    let isAnswered = calls[id].map { $0.phase == .answering && $0.unsent.isEmpty } ?? true
    if isAnswered {
      let status = calls[id]?.isWatch == true ? GRPCStatus.deadlineExceeded : .ok
      warmgate_h2_trailers(session, id, String(status.rawValue), "")
    }
    return bytes.isEmpty && !isAnswered ? nil : (bytes.count, isAnswered)
  }
}

// MARK: - C callbacks
//
// Named functions at the top level. `context` is the conversation, which outlives its session.

private func conversation(_ context: UnsafeMutableRawPointer?) -> GRPCConversation? {
  context.map { Unmanaged<GRPCConversation>.fromOpaque($0).takeUnretainedValue() }
}

private func grpcBeginHeaders(
  _ session: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ context: UnsafeMutableRawPointer?
) -> Int32 {
  // Trailers begin so, too.
  if let frame, frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST {
    conversation(context)?.began(frame.pointee.hd.stream_id)
  }
  return 0
}

private func grpcHeader(
  _ session: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ name: UnsafePointer<UInt8>?,
  _ nameLength: Int, _ value: UnsafePointer<UInt8>?, _ valueLength: Int, _ flags: UInt8,
  _ context: UnsafeMutableRawPointer?
) -> Int32 {
  guard let frame, let conversation = conversation(context) else { return 0 }
  let fits = conversation.header(
    frame.pointee.hd.stream_id, UnsafeBufferPointer(start: name, count: nameLength),
    UnsafeBufferPointer(start: value, count: valueLength))
  return fits ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
}

private func grpcData(
  _ session: OpaquePointer?, _ flags: UInt8, _ stream: Int32, _ data: UnsafePointer<UInt8>?, _ length: Int,
  _ context: UnsafeMutableRawPointer?
) -> Int32 {
  conversation(context)?.data(stream, UnsafeBufferPointer(start: data, count: length))
  return 0
}

private func grpcReceived(
  _ session: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ context: UnsafeMutableRawPointer?
) -> Int32 {
  if let head = frame?.pointee.hd {
    conversation(context)?.received(head.stream_id, UInt32(head.type), UInt32(head.flags))
  }
  return 0
}

private func grpcSent(
  _ session: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ context: UnsafeMutableRawPointer?
) -> Int32 {
  if let head = frame?.pointee.hd { conversation(context)?.sent(head.stream_id, UInt32(head.flags)) }
  return 0
}

private func grpcClosed(
  _ session: OpaquePointer?, _ stream: Int32, _ code: UInt32, _ context: UnsafeMutableRawPointer?
) -> Int32 {
  conversation(context)?.closed(stream)
  return 0
}

private func grpcRead(
  _ session: OpaquePointer?, _ stream: Int32, _ space: UnsafeMutablePointer<UInt8>?, _ length: Int,
  _ flags: UnsafeMutablePointer<UInt32>?, _ source: UnsafeMutablePointer<nghttp2_data_source>?,
  _ context: UnsafeMutableRawPointer?
) -> Int {
  guard let flags, let conversation = conversation(context) else { return 0 }
  let room = UnsafeMutableBufferPointer(start: space, count: length)
  guard let (count, isLast) = conversation.read(stream, into: room) else {
    return Int(NGHTTP2_ERR_DEFERRED.rawValue)
  }
  if isLast { flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue | NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue }
  return count
}
