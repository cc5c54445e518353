/// Which statements a connection has prepared at the server.
///
/// A statement is prepared when it is asked for the second time: what is asked once, made of values as it often is,
/// costs nothing more than it did. The least recently used goes when there are too many.
///
/// Names are of this connection alone, in the whole fleet. Behind a pooler that hands the server's session from one
/// client to another, an ordinal would name another client's statement.
struct StatementCache {
  enum Plan {
    /// Ask it without preparing it.
    case unnamed
    /// Prepare it under this name first, and tell the cache; `dropping` is to be deallocated before.
    case prepare(name: String, dropping: String?)
    case prepared(name: String)
  }

  private struct Entry {
    var name: String
    var used: UInt64
  }

  /// A statement's plan takes some kilobytes of its backend, and an application has a few dozen statements.
  static let capacity = 256

  private let prefix: String
  private var entries: [String: Entry] = [:] { didSet { last = nil } }
  /// The one asked last, which is often the next one too: to compare it costs less than to look it up. Nothing else has
  /// been used since, so its entry need not be told.
  private var last: (sql: String, name: String)?
  private var seenOnce: Set<String> = []
  private var uses: UInt64 = 0
  private var isGivenUp: Bool
  private var losses = 0

  /// `prepares` false: nothing is ever prepared.
  init(prepares: Bool = true) {
    isGivenUp = !prepares
    prefix = "warmgate_" + String(UInt64.random(in: .min ... .max), radix: 36) + "_"
  }

  mutating func plan(for sql: String) -> Plan {
    if isGivenUp { return .unnamed }
    if let name = name(of: sql) { return .prepared(name: name) }
    uses += 1
    guard seenOnce.remove(sql) != nil else {
      if seenOnce.count >= 2 * Self.capacity { seenOnce.removeAll(keepingCapacity: true) }
      seenOnce.insert(sql)
      return .unnamed
    }
    var dropped: String?
    if entries.count >= Self.capacity, let oldest = entries.min(by: { $0.value.used < $1.value.used }) {
      entries[oldest.key] = nil
      dropped = oldest.value.name
    }
    return .prepare(name: prefix + String(uses, radix: 36), dropping: dropped)
  }

  /// Of a statement that is prepared already.
  mutating func name(of sql: String) -> String? {
    if let last, last.sql == sql { return last.name }
    guard !isGivenUp, let index = entries.index(forKey: sql) else { return nil }
    uses += 1
    entries.values[index].used = uses
    let name = entries.values[index].name
    last = (sql, name)
    return name
  }

  /// The server has it.
  mutating func prepared(_ sql: String, as name: String) { entries[sql] = Entry(name: name, used: uses) }

  /// Its result has another shape now (0A000 "cached plan must not change result type").
  mutating func outdated(_ sql: String) -> String? { entries.removeValue(forKey: sql)?.name }

  /// The session was told to forget its statements. Each has to be asked twice again: whoever discards after every
  /// use gains nothing from preparing.
  mutating func forget() {
    entries.removeAll()
    seenOnce.removeAll()
  }

  /// The server does not know it (26000), and so perhaps none of them, or has another of its name (42P05). The second
  /// time, it is a pooler that sends each transaction to another server: then none is prepared any more.
  mutating func lost() {
    entries.removeAll()
    losses += 1
    if losses > 1 { isGivenUp = true }
  }
}
