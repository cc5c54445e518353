import CLinux
import CMicrohttpd
import Glibc
import PoolCore

/// One listener that does not speak HTTP/1.1: a thread with an epoll set that accepts, reads, writes, and holds
/// clients to their limits. What is said is up to the conversations.
///
/// There is no lock: everything happens on that thread, which sleeps for as long as nothing is due.
///
/// `@unchecked Sendable`: after `start`, the thread alone touches every `var`; `mailbox` and `thread` are for all.
final class StreamListener: @unchecked Sendable {
  let address: ListenAddress
  private let name: String
  private let socket: ListenSocket
  private let limits: ListenLimits
  private let epoll: Int32
  private let mailbox: Mailbox
  private let thread = ServingThread()
  /// Begins a conversation; nil if there is no memory for one.
  private let begin: (IPAddress?, Instant) -> (any Conversation)?

  private var slots: [Connection?] = []
  private var free: [Int] = []
  private var count = 0
  private var acceptsAgain: Instant?
  private var isStopping = false
  /// The most connections there were since memory was last given back.
  private var peak = 0
  private var input = [UInt8](repeating: 0, count: StreamListener.readAtOnce)

  private struct Connection {
    let descriptor: Int32
    let conversation: any Conversation
    /// Taken from the conversation, and not by the client's side yet.
    var unsent: ArraySlice<UInt8> = []
    /// Since when the client's side takes nothing more.
    var stuckSince: Instant?
    /// When something last came in.
    var heard: Instant
    /// Since when it has only been waited for the client to close.
    var leaving: Instant?
    /// Bytes that came in since then.
    var ignored = 0
    var inputEnded = false
    var interest: UInt32
  }

  /// Read from one connection before the others have their turn.
  private static let readAtOnce = 16 * 1024
  /// How long a client may take to close after the last word. Closing before it, with something of it unread, would
  /// be a reset, which may overtake that word.
  private static let leave: Duration = .seconds(1)
  /// What it may go on sending in that time.
  private static let mostIgnored = 64 * 1024
  /// How long a stop waits for the clients to close.
  private static let farewell: Duration = .milliseconds(300)
  /// A crowd of this many leaves enough memory behind to be worth giving back.
  private static let crowd = 32
  private static let mailboxID: UInt64 = 0
  private static let socketID: UInt64 = 1
  private static let firstSlotID: UInt64 = 2

  /// Takes `socket` over. `name` is for the thread: at most 15 bytes. Whoever makes one must stop it.
  init(
    socket: ListenSocket, name: String, limits: ListenLimits,
    begin: @escaping (IPAddress?, Instant) -> (any Conversation)?
  ) throws(ListenSocket.Failure) {
    self.socket = socket
    self.name = name
    self.limits = limits
    self.begin = begin
    address = socket.address
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    guard epoll >= 0, let mailbox = Mailbox() else {
      let failure = ListenSocket.Failure("epoll_create1")
      if epoll >= 0 { close(epoll) }
      socket.close()
      throw failure
    }
    self.mailbox = mailbox
    watch(mailbox.descriptor, EPOLLIN.rawValue, Self.mailboxID)
    watch(socket.descriptor, EPOLLIN.rawValue, Self.socketID)
    // The thread keeps the listener alive until it has been stopped.
    let context = Unmanaged.passRetained(self)
    let result = thread.start(name, streamListenerThread, context.toOpaque())
    guard result == 0 else {
      context.release()
      close(epoll)
      socket.close()
      throw ListenSocket.Failure("starting a thread", code: result)
    }
  }

  /// Ends every conversation, closes every connection and the listener, and returns when the thread has ended: after
  /// a third of a second at most. From any thread but its own; a second call does nothing.
  func stop() { thread.stop { mailbox.postStop() } }

  // MARK: - The thread

  /// Until stopped.
  fileprivate func run() {
    while !isStopping { turn(until: nextDeadline) }
    mailbox.close()
    socket.close()
    for slot in slots.indices { dismiss(slot, at: monotonicNow()) }
    let end = monotonicNow() + Self.farewell
    while count > 0, monotonicNow() < end { turn(until: end) }
    for slot in slots.indices { remove(slot) }
    close(epoll)
  }

  private func turn(until deadline: Instant?) {
    var events = [epoll_event](repeating: epoll_event(), count: 64)
    let timeout = deadline.map { max(0, ($0 - monotonicNow()).inNanoseconds / 1_000_000 + 1) }
    let ready = epoll_wait(epoll, &events, Int32(events.count), timeout.map(Int32.init(clamping:)) ?? -1)
    // Limits are judged by the clock from before anything is read. If the process is frozen in between, nobody is late
    // whose request lies there unread.
    let now = monotonicNow()
    var hasClients = false
    for event in events.prefix(Int(max(0, ready))) {
      switch event.data.u64 {
      case Self.mailboxID: if mailbox.take().stops { isStopping = true }
      case Self.socketID: hasClients = true
      case let id:
        let slot = Int(clamping: id - Self.firstSlotID)
        if event.events & ~EPOLLOUT.rawValue != 0 { read(slot, at: now) }
        send(slot, at: now)
      }
    }
    keepTime(at: now)
    giveMemoryBack()
    if hasClients, !isStopping { accept(at: now) }
  }

  /// Once a crowd has gone: the allocator would keep its memory for ever.
  private func giveMemoryBack() {
    peak = max(peak, count)
    guard peak >= Self.crowd, count < peak / 8 else { return }
    malloc_trim(0)
    peak = count
  }

  /// When the next limit passes or a conversation wants to be woken.
  private var nextDeadline: Instant? {
    var next = acceptsAgain
    for case let connection? in slots {
      let own = connection.leaving.map { $0 + Self.leave } ?? connection.conversation.wakeAt
      let stuck = connection.stuckSince.map { $0 + limits.delivery }
      for time in [own, stuck].compactMap({ $0 }) { next = min(next ?? time, time) }
    }
    return next
  }

  private func keepTime(at now: Instant) {
    if let again = acceptsAgain, again <= now {
      acceptsAgain = nil
      interest(socket.descriptor, EPOLLIN.rawValue, Self.socketID)
    }
    for slot in slots.indices {
      guard let connection = slots[slot] else { continue }
      if let since = connection.stuckSince, since + limits.delivery <= now {
        remove(slot)
      } else if let since = connection.leaving {
        if since + Self.leave <= now { remove(slot) }
      } else if let time = connection.conversation.wakeAt, time <= now {
        connection.conversation.wake(at: now)
        send(slot, at: now)
      }
    }
  }

  // MARK: - Connections

  private func accept(at now: Instant) {
    for _ in 0..<ListenSocket.acceptedAtOnce {
      switch socket.accept() {
      case .client(let descriptor, let name, _):
        let peer = withUnsafeBytes(of: name) { bytes in
          bytes.withMemoryRebound(to: sockaddr.self) { IPAddress($0.baseAddress) }
        }
        add(descriptor, peer, at: now)
      case .nobody: return
      case .gone: continue
      case .exhausted:
        makeRoom(for: ListenSocket.acceptedAtOnce, at: now)
        acceptsAgain = now + ListenSocket.pauseWithoutResources
        interest(socket.descriptor, 0, Self.socketID)
        return
      }
    }
  }

  private func add(_ descriptor: Int32, _ peer: IPAddress?, at now: Instant) {
    if count >= limits.connections { makeRoom(for: 1, at: now) }
    guard let conversation = begin(peer, now) else {
      close(descriptor)
      return
    }
    // Answers are short and whole. A client whose machine is gone is noticed by the kernel, and so makes room.
    if !address.isUnix {
      set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1)
      set(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, 30)
      set(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, 10)
      set(descriptor, IPPROTO_TCP, TCP_KEEPCNT, 3)
      set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
    }
    let slot = free.popLast() ?? slots.endIndex
    if slot == slots.endIndex { slots.append(nil) }
    let interest = EPOLLIN.rawValue
    slots[slot] = Connection(
      descriptor: descriptor, conversation: conversation, heard: now, interest: interest)
    count += 1
    watch(descriptor, interest, UInt64(slot) + Self.firstSlotID)
    send(slot, at: now)
  }

  private func remove(_ slot: Int) {
    guard let connection = slots[slot] else { return }
    close(connection.descriptor)
    slots[slot] = nil
    free.append(slot)
    count -= 1
  }

  /// Closes the connections that have been silent longest.
  private func makeRoom(for number: Int, at now: Instant) {
    let silent = slots.indices.compactMap { slot in slots[slot].map { (slot, heard: $0.heard) } }
      .sorted { $0.heard < $1.heard }
    for (slot, _) in silent.prefix(number) {
      dismiss(slot, at: now)
      remove(slot)
    }
  }

  /// A last word, as far as the client's side takes it at once.
  private func dismiss(_ slot: Int, at now: Instant) {
    guard let connection = slots[slot], connection.leaving == nil else { return }
    connection.conversation.end()
    send(slot, at: now)
  }

  private func read(_ slot: Int, at now: Instant) {
    guard slots.indices.contains(slot), let connection = slots[slot] else { return }
    let received = recv(connection.descriptor, &input, input.count, 0)
    if received > 0 {
      slots[slot]?.heard = now
      // What comes after the last word is read only so that it does not turn into a reset.
      guard connection.leaving == nil else {
        slots[slot]?.ignored += received
        if connection.ignored + received > Self.mostIgnored { remove(slot) }
        return
      }
      input.withUnsafeBytes { connection.conversation.receive(.init(rebasing: $0[..<received]), at: now) }
    } else if received == 0 {
      if connection.leaving != nil { remove(slot) } else { slots[slot]?.inputEnded = true }
    } else if errno != EAGAIN, errno != EINTR {
      remove(slot)
    }
  }

  /// Sends what there is. Nothing more is read from a client whose side takes nothing more: whoever does not read
  /// cannot make us collect answers.
  private func send(_ slot: Int, at now: Instant) {
    guard slots.indices.contains(slot), var connection = slots[slot], connection.leaving == nil else {
      return
    }
    while true {
      if connection.unsent.isEmpty { connection.unsent = connection.conversation.takeOutput()[...] }
      if connection.conversation.isBroken { return remove(slot) }
      if connection.unsent.isEmpty { break }
      let sent = connection.unsent.withUnsafeBytes {
        Glibc.send(connection.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if sent > 0 {
        connection.unsent.removeFirst(sent)
      } else if errno == EAGAIN {
        connection.stuckSince = connection.stuckSince ?? now
        connection.interest = set(EPOLLOUT.rawValue, of: connection, slot)
        slots[slot] = connection
        return
      } else if errno != EINTR {
        return remove(slot)
      }
    }
    connection.stuckSince = nil
    // Whoever has closed wants nothing more.
    if connection.inputEnded { return remove(slot) }
    connection.interest = set(EPOLLIN.rawValue, of: connection, slot)
    if connection.conversation.isOver {
      shutdown(connection.descriptor, Int32(SHUT_WR))
      connection.leaving = now
    }
    slots[slot] = connection
  }

  // MARK: - System calls

  private func set(_ events: UInt32, of connection: Connection, _ slot: Int) -> UInt32 {
    if events != connection.interest {
      interest(connection.descriptor, events, UInt64(slot) + Self.firstSlotID)
    }
    return events
  }

  private func set(_ descriptor: Int32, _ level: some BinaryInteger, _ option: Int32, _ value: Int32) {
    var value = value
    setsockopt(descriptor, Int32(level), option, &value, socklen_t(MemoryLayout<Int32>.size))
  }

  /// Fails only for want of kernel memory: a connection that nobody watches is cut when its time is over.
  private func watch(_ descriptor: Int32, _ events: UInt32, _ id: UInt64) {
    var event = epoll_event(events: events, data: epoll_data_t(u64: id))
    _ = epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event)
  }

  private func interest(_ descriptor: Int32, _ events: UInt32, _ id: UInt64) {
    var event = epoll_event(events: events, data: epoll_data_t(u64: id))
    _ = epoll_ctl(epoll, EPOLL_CTL_MOD, descriptor, &event)
  }
}

/// Named and free of isolation: it runs on a thread that Swift did not make.
private func streamListenerThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let context else { return nil }
  Unmanaged<StreamListener>.fromOpaque(context).takeRetainedValue().run()
  return nil
}
