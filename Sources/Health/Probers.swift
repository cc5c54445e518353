public import PoolCore
import Synchronization

/// Who asks for readiness again and again, such as load balancers: a drain lets traffic go on until each of them has
/// heard of it.
///
/// A prober is told apart by its address and dialect. Kubernetes' own probes do not count, because a pod that is deleted
/// is out of its Service whatever they say; nor does this machine, from which no traffic is sent.
public final class Probers: Sendable {
  /// How a prober asks.
  public enum Dialect: String, Hashable, Sendable, CaseIterable {
    /// `/ready` and its other names.
    case http
    /// HAProxy's agent check.
    case agent
    /// `Check` of gRPC's health protocol.
    case grpc
  }

  /// One of them, at one moment.
  public struct Prober: Hashable, Sendable {
    /// Where it asks from, without the port.
    public var address: String
    /// How it asks.
    public var dialect: Dialect
    /// The longest time between two of its last questions; nil after the first one.
    public var interval: Duration?
    /// When it last asked.
    public var lastSeen: Instant
    /// How often it has been told of the drain that is under way.
    public var told: Int
    /// Whether a drain has to do with it, and how far that is.
    public var state: State

    /// Where it stands.
    public enum State: String, Hashable, Sendable {
      /// It has asked too few times to know whether it will again.
      case new
      /// It asks regularly, and has not been told of a drain often enough.
      case active
      /// It has been told as often as is needed.
      case told
      /// It has not asked for three of its intervals.
      case silent
    }
  }

  /// So many are known at once. While all of them are active, others are not seen.
  public static let most = 64
  /// Who has asked this often asks regularly.
  public static let regular = 3

  /// A drain tells each of them so often. Zero: it waits for none.
  public let mustSee: Int
  private let table = Mutex<[Key: Entry]>([:])

  private struct Key: Hashable {
    var address: IPAddress
    var dialect: Dialect
  }

  private struct Entry {
    var requests = 0
    var lastSeen: Instant
    /// The last four times between two questions.
    var gaps: [Duration] = []
    var told = 0

    var interval: Duration? { gaps.max() }

    mutating func asked(at now: Instant, isToldOfDrain: Bool) {
      if requests > 0 {
        if gaps.count == 4 { gaps.removeFirst() }
        gaps.append(max(.zero, now - lastSeen))
      }
      requests = min(requests + 1, Probers.regular)
      lastSeen = now
      told = isToldOfDrain ? min(told + 1, 1_000_000) : 0
    }

    func isSilent(at now: Instant) -> Bool {
      guard let interval else { return now - lastSeen > Self.unknownInterval }
      return now - lastSeen > interval * 3
    }

    /// After one question nobody knows when the next is due; the slowest load balancers ask every five minutes.
    static let unknownInterval: Duration = .seconds(300)

    func state(mustSee: Int, at now: Instant) -> Prober.State {
      if isSilent(at: now) { return .silent }
      if requests < Probers.regular { return .new }
      return told >= mustSee ? .told : .active
    }
  }

  /// `mustSee`: how often each is to be told of a drain.
  public init(mustSee: Int) { self.mustSee = mustSee }

  /// Somebody has asked, and was answered from this: while there is a drain, nobody is told that it is ready.
  func asked(
    by address: IPAddress?, _ dialect: Dialect, userAgent: String? = nil, _ observation: Observation
  ) {
    guard mustSee > 0, let address, !address.isLoopback, userAgent?.hasPrefix("kube-probe/") != true else {
      return
    }
    let now = observation.now
    let phase = observation.snapshot.phase
    let isToldOfDrain = phase == .draining || phase == .drained
    table.withLock { table in
      let key = Key(address: address, dialect: dialect)
      if let known = table.index(forKey: key) {
        return table.values[known].asked(at: now, isToldOfDrain: isToldOfDrain)
      }
      if table.count >= Self.most {
        guard
          let silent = table.first(where: { $0.value.isSilent(at: now) || $0.value.requests < Self.regular })
        else { return }
        table[silent.key] = nil
      }
      var entry = Entry(lastSeen: now)
      entry.asked(at: now, isToldOfDrain: isToldOfDrain)
      table[key] = entry
    }
  }

  /// All that are known, the one that was seen last first.
  public func all(at now: Instant) -> [Prober] {
    let entries = table.withLock { $0 }
    return entries.sorted { $0.value.lastSeen > $1.value.lastSeen }.map { key, entry in
      Prober(
        address: key.address.description, dialect: key.dialect, interval: entry.interval,
        lastSeen: entry.lastSeen,
        told: entry.told, state: entry.state(mustSee: mustSee, at: now))
    }
  }

  /// Nobody who asks regularly has still to hear of the drain.
  public func allTold(at now: Instant) -> Bool {
    table.withLock { table in table.values.allSatisfy { $0.state(mustSee: mustSee, at: now) != .active } }
  }
}
