import Foundation
import Synchronization

/// A DNS server for one network namespace, at 127.0.0.1 port 53, that says the same to every question, or nothing.
///
/// Processes use it that are started after `NetworkPath.setClientResolver(NameServer.address)`.
public final class NameServer: Sendable {
  public enum Behaviour: Hashable, Sendable {
    /// Questions arrive and are not answered. When the behaviour changes, they are, late.
    case silent
    /// NXDOMAIN.
    case noSuchName
    /// SERVFAIL.
    case failure
    /// IPv4 addresses, in this order; a question for IPv6 gets none.
    case addresses([String])
  }

  public static let address = "127.0.0.1"

  private struct Question {
    var bytes: [UInt8]
    var sender: sockaddr_in
  }

  private struct State {
    var behaviour: Behaviour
    var waiting: [Question] = []
    var questions = 0
    var isStopping = false
  }

  private let descriptor: Int32
  private let state: Mutex<State>

  public init(_ behaviour: Behaviour, namespace: String) throws {
    state = Mutex(State(behaviour: behaviour))
    descriptor = try inNetworkNamespace(namespace) { () throws(ProbeError) in
      let made = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
      guard made >= 0 else { throw .system("socket: \(errnoText())") }
      Descriptors.closeOnExec(made)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = in_port_t(53).bigEndian
      inet_pton(AF_INET, Self.address, &address.sin_addr)
      let status = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(made, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      guard status == 0 else {
        let failure = errnoText()
        close(made)
        throw .system("bind: \(failure)")
      }
      return made
    }
    Thread.detachNewThread { [weak self, descriptor] in
      defer { close(descriptor) }
      while let question = Self.nextQuestion(descriptor, isWanted: { self != nil && !self!.isStopping }) {
        self?.arrived(question)
      }
    }
  }

  deinit { stop() }

  /// How many questions have arrived.
  public var questions: Int { state.withLock { $0.questions } }

  public func set(_ behaviour: Behaviour) {
    let late = state.withLock { state in
      state.behaviour = behaviour
      if behaviour == .silent { return [Question]() }
      defer { state.waiting = [] }
      return state.waiting
    }
    for question in late { answer(question, behaviour) }
  }

  public func stop() { state.withLock { $0.isStopping = true } }

  private var isStopping: Bool { state.withLock { $0.isStopping } }

  private func arrived(_ question: Question) {
    let behaviour = state.withLock { state in
      state.questions += 1
      if state.behaviour == .silent { state.waiting.append(question) }
      return state.behaviour
    }
    if behaviour != .silent { answer(question, behaviour) }
  }

  /// Nil when no more is wanted.
  private static func nextQuestion(_ descriptor: Int32, isWanted: () -> Bool) -> Question? {
    var bytes = [UInt8](repeating: 0, count: 512)
    var sender = sockaddr_in()
    while isWanted() {
      var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&request, 1, 100) > 0 else { continue }
      var size = socklen_t(MemoryLayout<sockaddr_in>.size)
      let count = withUnsafeMutablePointer(to: &sender) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          recvfrom(descriptor, &bytes, bytes.count, 0, $0, &size)
        }
      }
      // The header has 12 bytes (RFC 1035, 4.1.1).
      if count > 12 { return Question(bytes: Array(bytes[..<count]), sender: sender) }
    }
    return nil
  }

  private func answer(_ question: Question, _ behaviour: Behaviour) {
    guard let reply = Self.reply(to: question.bytes, behaviour) else { return }
    var sender = question.sender
    _ = withUnsafePointer(to: &sender) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(descriptor, reply, reply.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  /// The question's id and its one name with the answers (RFC 1035, 4.1).
  private static func reply(to question: [UInt8], _ behaviour: Behaviour) -> [UInt8]? {
    guard let nameEnd = question.dropFirst(12).firstIndex(of: 0), nameEnd + 4 < question.count else {
      return nil
    }
    let isForIPv4 = question[nameEnd + 2] == 1
    var code: UInt8 = 0
    var addresses: [[UInt8]] = []
    switch behaviour {
    case .silent: return nil
    case .noSuchName: code = 3
    case .failure: code = 2
    case .addresses(let texts):
      if isForIPv4 { addresses = texts.map { $0.split(separator: ".").compactMap { UInt8($0) } } }
    }
    var reply = Array(question[..<2])
    // A response to a recursive question; recursion was available; one question, then the answers.
    reply += [0x81, 0x80 | code, 0, 1, 0, UInt8(addresses.count), 0, 0, 0, 0]
    reply += question[12...(nameEnd + 4)]
    for address in addresses {
      // The name is that of the question (a pointer to byte 12); type A, class IN, a second to live, four bytes.
      reply += [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4] + address
    }
    return reply
  }
}
