/// What somebody wants of the database.
public enum Access: String, Hashable, Sendable, CaseIterable {
  /// To read, if need be what was true a moment ago: a standby will do.
  case read
  /// To write, or to read what was just written: the primary alone will do.
  case write
}

/// One pool of those that serve reads and writes together.
public enum ReadWritePart: Hashable, Sendable, CustomStringConvertible {
  /// The primary's, wherever it is at the moment.
  case primary
  /// That of the standby at this host: `host:port`, or the path of a Unix socket.
  case standby(host: String)

  public var description: String {
    switch self {
    case .primary: "primary"
    case .standby(let host): "standby \(host)"
    }
  }
}

/// What the pools for the primary and the standbys know about themselves at one moment.
public struct ReadWriteSnapshot: Sendable {
  /// One pool.
  public struct Entry: Sendable {
    /// Whose it is.
    public var part: ReadWritePart
    /// What it knows.
    public var snapshot: Snapshot

    /// The pool of this part, as it describes itself.
    public init(_ part: ReadWritePart, _ snapshot: Snapshot) {
      self.part = part
      self.snapshot = snapshot
    }
  }

  /// The primary's pool.
  public var primary: Snapshot
  /// One for each host of the URL, in its order; the primary's too, which may be a standby tomorrow.
  public var standbys: [Entry]
  /// What has to be possible for the whole to be ready.
  public var readyFor: Access

  /// Several pools, each as it describes itself.
  public init(primary: Snapshot, standbys: [Entry], readyFor: Access) {
    self.primary = primary
    self.standbys = standbys
    self.readyFor = readyFor
  }

  /// The primary's pool, then those of the standbys.
  public var entries: [Entry] { [Entry(.primary, primary)] + standbys }

  /// The answer at `now`.
  ///
  /// | primary | standbys | ready for `.write` | ready for `.read` |
  /// |---|---|---|---|
  /// | ready | all ready | yes | yes |
  /// | ready | some or all not | yes, degraded: reads fall back to the primary | yes, degraded |
  /// | not ready | at least one ready | no | yes, degraded |
  /// | not ready | none ready | no | no |
  ///
  /// The primary's own host is no missing standby. Each pool judges itself, so a snapshot too old to trust and a drain
  /// count as they do for one pool.
  public func verdict(at now: Instant) -> ReadWriteVerdict {
    let parts = entries.map { entry in
      let isPrimary = entry.part != .primary && entry.snapshot.hasAnotherRole
      return ReadWriteVerdict.Part(
        name: entry.part, verdict: entry.snapshot.verdict(at: now), isOtherRole: isPrimary)
    }
    let canWrite = parts.first?.verdict.isReady == true
    return ReadWriteVerdict(
      isReady: readyFor == .write ? canWrite : parts.contains { $0.verdict.isReady }, parts: parts)
  }
}

/// The answer to "may traffic come here?" of pools for reading and writing, with what each of them says.
public struct ReadWriteVerdict: Hashable, Sendable, CustomStringConvertible {
  /// What one pool says.
  public struct Part: Hashable, Sendable {
    /// Whose pool it is.
    public var name: ReadWritePart
    /// Its own verdict.
    public var verdict: Verdict
    /// A standby's pool whose host turned out to be a primary: nothing is wrong, and it serves nobody.
    public var isOtherRole: Bool

    /// Nothing stands against it.
    var isWell: Bool { isOtherRole || verdict.isReady && !verdict.isDegraded }

    /// In our own words, without hosts; `index` is its place among the standbys, from 1.
    fileprivate func text(_ index: Int) -> String {
      let name = self.name == .primary ? "primary" : "standby \(index)"
      return "\(name): \(state(verdict.reasons.map(\.text)))"
    }

    fileprivate var detail: String { "\(name): \(state(verdict.reasons.map(\.detail)))" }

    private func state(_ reasons: [String]) -> String {
      if isOtherRole { return "is the primary" }
      let reasons = reasons.joined(separator: ", ")
      if !verdict.isReady { return reasons }
      return reasons.isEmpty ? "ready" : "ready, degraded: \(reasons)"
    }
  }

  /// Traffic may come.
  public var isReady: Bool
  /// The primary's, then one for each host of the URL.
  public var parts: [Part]

  /// Ready, and some pool is not as it should be: reads may be slower, or find the primary busier.
  public var isDegraded: Bool { isReady && !parts.allSatisfy(\.isWell) }
  /// The primary can be reached.
  public var canWrite: Bool { parts.contains { $0.name == .primary && $0.verdict.isReady } }
  /// Any of them can be reached.
  public var canRead: Bool { parts.contains { $0.verdict.isReady } }

  /// Each pool with its state, in one line that may be shown to anybody: standbys are numbered, not named.
  public var text: String {
    parts.enumerated().map { $1.text($0) }.joined(separator: "; ")
  }

  /// `text` with hosts and the server's own words, such as `primary: ready; standby db2:5432: probe failed: …`.
  public var detail: String { parts.map(\.detail).joined(separator: "; ") }

  public var description: String {
    "\(isReady ? isDegraded ? "ready, degraded" : "ready" : "not ready"): \(detail)"
  }
}
