import CMicrohttpd
import Glibc
import PoolCore

/// One listener: a thread of its own that accepts, runs libmicrohttpd, and holds clients to their limits.
///
/// The library is driven from outside (`MHD_run`) rather than by its own thread. So everything happens on one
/// thread: the callbacks, the limits, the waking of suspended requests, the stop. There is no lock between them,
/// no descriptor can be closed behind the limits' back, and what the library cannot do (a limit on the whole time
/// of a request, room for new clients when idle ones hold every place, no spinning when the process has no
/// descriptor left) is a few lines around it. The thread sleeps for as long as nothing is due: without a client,
/// for ever.
///
/// `@unchecked Sendable`: after `start`, the thread alone touches every `var`; `mailbox` and `thread` are for all.
final class Daemon: @unchecked Sendable {
  let address: ListenAddress
  private let name: String
  private let socket: ListenSocket
  private let limits: ListenLimits
  private let requests: RequestCounts
  private let handler: any RequestHandler
  private let mailbox: Mailbox
  private let thread = ServingThread()

  private var library: OpaquePointer?
  private var connections: Connections
  private var acceptsAgain: Instant?
  /// By ticket: the place of the connection, and what it is told if we stop.
  private var waiting: [UInt64: (slot: Int, stopped: Response)] = [:]
  private var lastTicket: UInt64 = 0
  private var lastMade: (response: Response, pointer: OpaquePointer)?
  private var isStopping = false
  /// The most connections there were since memory was last given back.
  private var peak = 0

  /// A crowd of this many leaves enough memory behind to be worth giving back.
  private static let crowd = 128
  /// How long a stop waits for the answers to requests that wait.
  private static let farewell: Duration = .milliseconds(500)

  /// Takes `socket` over. `name` is for the thread: at most 15 bytes.
  init(
    socket: ListenSocket, name: String, limits: ListenLimits, requests: RequestCounts,
    handler: any RequestHandler
  ) throws(ListenSocket.Failure) {
    self.socket = socket
    self.name = name
    self.limits = limits
    self.requests = requests
    self.handler = handler
    address = socket.address
    connections = Connections(limits: limits)
    guard let mailbox = Mailbox() else {
      let failure = ListenSocket.Failure("eventfd")
      socket.close()
      throw failure
    }
    self.mailbox = mailbox
    try start()
  }

  private func start() throws(ListenSocket.Failure) {
    library = warmgate_mhd_start(
      daemonHandleRequest, daemonRequestCompleted, daemonConnectionChanged,
      Unmanaged.passUnretained(self).toOpaque(), UInt32(limits.connections + limits.slack),
      limits.connectionMemory)
    guard library != nil else {
      let code = errno == 0 ? ENOMEM : errno
      socket.close()
      throw ListenSocket.Failure("starting the HTTP server", code: code)
    }
    // The thread keeps the daemon alive until it has been stopped: whoever makes one must stop it.
    let context = Unmanaged.passRetained(self)
    let result = thread.start(name, daemonThread, context.toOpaque())
    guard result == 0 else {
      context.release()
      MHD_stop_daemon(library)
      library = nil
      socket.close()
      throw ListenSocket.Failure("starting a thread", code: result)
    }
  }

  /// Answers who waits, closes every connection and the listener, and returns when the thread has ended: after
  /// half a second at most. From any thread but its own; a second call does nothing.
  func stop() { thread.stop { mailbox.postStop() } }

  // MARK: - The thread

  /// Until stopped.
  fileprivate func run() {
    guard let library else { return }
    while !isStopping {
      let (hasMail, hasClients) = wait(library)
      if hasMail { takeMail(library) }
      // Limits are judged by the clock from before the library reads. If the process is frozen in between, nobody is
      // late whose request lies there unread.
      let now = monotonicNow()
      if hasClients { accept(library, at: now) }
      MHD_run(library)
      connections.sweep(at: now)
      giveMemoryBack()
    }
    finish(library)
  }

  /// Once a crowd has gone. The allocator would keep its memory for ever, and wave after wave would spread over
  /// more of it.
  private func giveMemoryBack() {
    peak = max(peak, connections.count)
    guard peak >= Self.crowd, connections.count < peak / 8 else { return }
    malloc_trim(0)
    peak = connections.count
  }

  /// Sleeps until the library, the mailbox or the listening socket has something, or a limit passes.
  private func wait(_ library: OpaquePointer) -> (hasMail: Bool, hasClients: Bool) {
    var pending: UInt64 = 0
    var timeout: Int32 = -1
    if MHD_get_timeout(library, &pending) == .YES && pending == 0 {
      timeout = 0
    } else if let deadline = [connections.nextSweep, acceptsAgain].compactMap({ $0 }).min() {
      timeout = milliseconds(until: deadline)
    }
    let accepts = acceptsAgain == nil && connections.count < limits.connections + limits.slack
    let input = Int16(POLLIN)
    var interests = [
      pollfd(fd: warmgate_mhd_epoll_fd(library), events: input, revents: 0),
      pollfd(fd: mailbox.descriptor, events: input, revents: 0),
      // poll(2) leaves out negative descriptors.
      pollfd(fd: accepts ? socket.descriptor : -1, events: input, revents: 0),
    ]
    let count = poll(&interests, nfds_t(interests.count), timeout)
    if let again = acceptsAgain, again <= monotonicNow() { acceptsAgain = nil }
    return count > 0 ? (interests[1].revents != 0, interests[2].revents != 0) : (false, false)
  }

  /// Rounded up, so that a limit has passed when the thread wakes.
  private func milliseconds(until deadline: Instant) -> Int32 {
    Int32(clamping: max(0, (deadline - monotonicNow()).inNanoseconds / 1_000_000 + 1))
  }

  private func accept(_ library: OpaquePointer, at now: Instant) {
    for _ in 0..<ListenSocket.acceptedAtOnce where connections.count < limits.connections + limits.slack {
      switch socket.accept() {
      case .client(let descriptor, let name, let length):
        // Whatever comes of it, the descriptor is the library's from here.
        withUnsafeBytes(of: name) { bytes in
          _ = bytes.withMemoryRebound(to: sockaddr.self) {
            MHD_add_connection(library, descriptor, $0.baseAddress, length)
          }
        }
      case .nobody: return
      case .gone: continue
      case .exhausted:
        connections.closeSilent(ListenSocket.acceptedAtOnce)
        acceptsAgain = now + ListenSocket.pauseWithoutResources
        return
      }
    }
    connections.makeRoom()
  }

  private func takeMail(_ library: OpaquePointer) {
    let mail = mailbox.take()
    for (id, response) in mail.answers { answer(id, response) }
    if mail.stops { isStopping = true }
  }

  private func answer(_ id: UInt64, _ response: Response) {
    guard let (slot, _) = waiting.removeValue(forKey: id) else { return }
    if let connection = connections.answer(ticket: id, in: slot, with: response) {
      MHD_resume_connection(connection)
    }
  }

  /// The library aborts the process if it is stopped while a request is suspended, so every one is answered first.
  private func finish(_ library: OpaquePointer) {
    for (id, place) in waiting { answer(id, place.stopped) }
    waiting = [:]
    let end = monotonicNow() + Self.farewell
    repeat {
      MHD_run(library)
      // Waiting still, or being sent.
      guard connections.isAnswering else { break }
      var interest = pollfd(fd: warmgate_mhd_epoll_fd(library), events: Int16(POLLIN), revents: 0)
      poll(&interest, 1, 10)
    } while monotonicNow() < end
    mailbox.close()
    MHD_stop_daemon(library)
    if let lastMade { MHD_destroy_response(lastMade.pointer) }
    lastMade = nil
    self.library = nil
    socket.close()
  }

  // MARK: - What the library's callbacks say

  fileprivate func began(_ connection: OpaquePointer) -> Int {
    connections.add(
      descriptor: warmgate_mhd_connection_fd(connection), handle: connection, at: monotonicNow())
  }

  fileprivate func ended(_ slot: Int) {
    connections.remove(slot)?.afterwards?()
  }

  fileprivate func bodyExpected(_ slot: Int) {
    connections.beginArrival(slot, at: monotonicNow())
  }

  fileprivate func completed(_ slot: Int) {
    connections.endRequest(slot, at: monotonicNow())?()
  }

  /// The request is whole, or was suspended and has its answer.
  fileprivate func respond(
    _ connection: OpaquePointer, _ slot: Int, _ request: Request
  ) -> MHD_Result {
    func send(_ response: Response) -> MHD_Result {
      requests.add(handler.counted(request), response.status)
      return self.send(response, on: connection, slot)
    }
    if let answer = connections[slot]?.answer { return send(answer) }
    switch handler.reply(to: request) {
    case .now(let response): return send(response)
    case .nowThen(let response, let action):
      connections.setAfterwards(action, of: slot)
      return send(response)
    case .later(let begin, let crowded, let stopped):
      if isStopping { return send(stopped) }
      if connections.waitingCount >= ListenLimits.waiting {
        // A client that is gone makes room; its answer goes nowhere.
        guard let (_, ticket) = connections.abandoned else { return send(crowded()) }
        answer(ticket, stopped)
      }
      lastTicket += 1
      waiting[lastTicket] = (slot, stopped)
      connections.beginWaiting(slot, ticket: lastTicket)
      MHD_suspend_connection(connection)
      begin(Ticket(id: lastTicket, mailbox: mailbox))
      return .YES
    }
  }

  private func send(_ response: Response, on connection: OpaquePointer, _ slot: Int) -> MHD_Result {
    connections.beginAnswer(slot, at: monotonicNow())
    guard let made = made(response) else { return .NO }
    return MHD_queue_response(connection, UInt32(response.status.rawValue), made)
  }

  /// The response as the library wants it. Most answers are the same as the one before, so that one is kept.
  private func made(_ response: Response) -> OpaquePointer? {
    if let lastMade, lastMade.response == response { return lastMade.pointer }
    var body = response.body
    let made = body.withUTF8 { bytes in
      // Copied by the library, which only reads from it although its type does not say so.
      MHD_create_response_from_buffer(
        bytes.count, UnsafeMutableRawPointer(mutating: bytes.baseAddress), .RESPMEM_MUST_COPY)
    }
    guard let made else { return nil }
    for header in response.allHeaders { MHD_add_response_header(made, header.name, header.value) }
    // The library counts its own references: one that is still being sent stays until it has been.
    if let lastMade { MHD_destroy_response(lastMade.pointer) }
    lastMade = (response, made)
    return made
  }
}

// MARK: - C callbacks
//
// Named functions at the top level: a closure in an isolated context would die in a queue assertion on the
// listener's thread. `context` is the daemon, which outlives its thread and the library's daemon.

private func daemonThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let context else { return nil }
  Unmanaged<Daemon>.fromOpaque(context).takeRetainedValue().run()
  return nil
}

private func daemon(_ context: UnsafeMutableRawPointer?) -> Daemon? {
  context.map { Unmanaged<Daemon>.fromOpaque($0).takeUnretainedValue() }
}

/// Places are stored as pointers, one higher: a null pointer is none.
private func place(_ slot: Int) -> UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: slot + 1) }
private func slot(_ place: UnsafeMutableRawPointer?) -> Int? { place.map { Int(bitPattern: $0) - 1 } }

private func daemonConnectionChanged(
  _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?,
  _ socketContext: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ code: MHD_ConnectionNotificationCode
) {
  guard let daemon = daemon(context), let connection, let socketContext else { return }
  if code == .CONNECTION_NOTIFY_STARTED {
    socketContext.pointee = place(daemon.began(connection))
  } else if let slot = slot(socketContext.pointee) {
    daemon.ended(slot)
    socketContext.pointee = nil
  }
}

/// Called with the head of a request, with each part of its body, and when it is whole. Answering at the first of
/// these would end a connection that could be kept.
private func daemonHandleRequest(
  _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ url: UnsafePointer<CChar>?,
  _ method: UnsafePointer<CChar>?, _ version: UnsafePointer<CChar>?, _ upload: UnsafePointer<CChar>?,
  _ uploadSize: UnsafeMutablePointer<Int>?, _ requestContext: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> MHD_Result {
  guard let daemon = daemon(context), let connection, let url, let method, let requestContext,
    let slot = slot(warmgate_mhd_socket_context(connection))
  else { return .NO }
  if requestContext.pointee == nil {
    requestContext.pointee = place(slot)
    daemon.bodyExpected(slot)
    return .YES
  }
  if let uploadSize, uploadSize.pointee > 0 {
    // No route reads a body. The arrival limit bounds what somebody can make us read.
    uploadSize.pointee = 0
    return .YES
  }
  let request = Request(
    Request.Method(String(cString: method)), String(cString: url),
    query: fields(of: connection, .GET_ARGUMENT_KIND), headers: fields(of: connection, .HEADER_KIND),
    peer: IPAddress(warmgate_mhd_client_address(connection)))
  return daemon.respond(connection, slot, request)
}

private func daemonRequestCompleted(
  _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?,
  _ requestContext: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ reason: MHD_RequestTerminationCode
) {
  guard let requestContext, let slot = slot(requestContext.pointee) else { return }
  requestContext.pointee = nil
  daemon(context)?.completed(slot)
}

private func fields(of connection: OpaquePointer, _ kind: MHD_ValueKind) -> [Request.Field] {
  var fields: [Request.Field] = []
  fields.reserveCapacity(Int(max(0, MHD_get_connection_values(connection, kind, nil, nil))))
  withUnsafeMutablePointer(to: &fields) { fields in
    _ = MHD_get_connection_values(connection, kind, daemonCollectField, UnsafeMutableRawPointer(fields))
  }
  return fields
}

private func daemonCollectField(
  _ context: UnsafeMutableRawPointer?, _ kind: MHD_ValueKind, _ name: UnsafePointer<CChar>?,
  _ value: UnsafePointer<CChar>?
) -> MHD_Result {
  guard let context, let name else { return .YES }
  context.assumingMemoryBound(to: [Request.Field].self).pointee
    .append(Request.Field(String(cString: name), value.map { String(cString: $0) } ?? ""))
  return .YES
}
