/// One connection of the pool, from the start of its login to its end. Never used twice.
public struct ConnectionID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// Counted up from 1 within a pool.
  public let number: UInt64
  /// The connection of that number.
  public init(_ number: UInt64) { self.number = number }
  public static func < (a: Self, b: Self) -> Bool { a.number < b.number }
  public var description: String { "#\(number)" }
}

/// One caller that asked for a connection, from its request until the lease is released or refused.
/// The shell chooses it, each time a greater one.
public struct LeaseID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// Counted up from 1 within a pool.
  public let number: UInt64
  /// The lease of that number.
  public init(_ number: UInt64) { self.number = number }
  public static func < (a: Self, b: Self) -> Bool { a.number < b.number }
  public var description: String { "lease \(number)" }
}

/// The database cluster behind a session: the "system identifier" that `initdb` gave it. Its standbys and whatever is
/// restored from its backups share it; another cluster, or one that was initialised anew, has another
/// (PostgreSQL manual, 9.27.9 "pg_control_system").
public struct ClusterID: Hashable, Sendable, CustomStringConvertible {
  /// As the server says it.
  public let number: Int64
  /// The cluster of that number.
  public init(_ number: Int64) { self.number = number }
  public var description: String { "\(number)" }
}

/// One run of a server. Two addresses may lead to the same one, as through two poolers.
public struct ServerID: Hashable, Sendable {
  /// Of which cluster.
  public let cluster: ClusterID
  /// When it was started, in microseconds since 1970 (`pg_postmaster_start_time`).
  public let started: Int64
  /// The server of that cluster that was started then.
  public init(_ cluster: ClusterID, started: Int64) { (self.cluster, self.started) = (cluster, started) }
}

/// The position of a host in the list of the database URL.
public struct HostID: Hashable, Sendable {
  /// From 0, in the order of the URL.
  public let index: Int
  /// The host at that position.
  public init(_ index: Int) { self.index = index }
}
