/// One connection of the pool, from the start of its login to its end. Never used twice.
public struct ConnectionID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let number: UInt64
  public init(_ number: UInt64) { self.number = number }
  public static func < (a: Self, b: Self) -> Bool { a.number < b.number }
  public var description: String { "#\(number)" }
}

/// One caller that asked for a connection, from its request until the lease is released or refused.
/// The shell chooses it; it is never used twice.
public struct LeaseID: Hashable, Sendable, CustomStringConvertible {
  public let number: UInt64
  public init(_ number: UInt64) { self.number = number }
  public var description: String { "lease \(number)" }
}

/// The position of a host in the list of the database URL.
public struct HostID: Hashable, Sendable {
  public let index: Int
  public init(_ index: Int) { self.index = index }
}
