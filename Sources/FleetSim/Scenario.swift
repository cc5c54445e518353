import PoolCore

/// What happens, and when: from the beginning of the story, which an instance may have been part of already.
public struct Scenario: Hashable, Sendable {
  /// One thing that happens.
  public struct Part: Hashable, Sendable {
    /// So long after the beginning.
    public var at: Duration
    /// What.
    public var what: Happening

    /// Something that happens so long after the beginning.
    public init(at: Duration, _ what: Happening) {
      self.at = at
      self.what = what
    }
  }

  /// As it is called by on the command line.
  public var name: String
  /// One line.
  public var summary: String
  /// In any order.
  public var parts: [Part]

  /// A scenario of these parts.
  public init(name: String, summary: String, parts: [Part]) {
    self.name = name
    self.summary = summary
    self.parts = parts
  }

  private var troubles: [Part] { parts.filter(\.what.isTrouble) }

  /// When the first trouble begins; nil if there is none.
  public var troubleBegins: Duration? { troubles.map(\.at).min() }

  /// From when on nothing stands in the way any more: the end of the last trouble, or else what the story is about,
  /// the first start or rollout.
  public var calm: Duration {
    if let end = troubles.map({ $0.at + $0.what.duration }).max() { return end }
    return parts.filter { if case .warm = $0.what { false } else { true } }.map(\.at).min() ?? .zero
  }

  /// When the last of its parts has ended.
  public var end: Duration { parts.map { $0.at + $0.what.duration }.max() ?? .zero }
}
