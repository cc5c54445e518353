import Testing

@testable import PoolCore

@Suite("readiness of reading and writing") struct ReadWriteVerdictTests {
  private static func unready(_ fault: Fault) -> Snapshot {
    let pool = Verdicts.ready()
    pool.server.probe = .fails(fault)
    pool.advance(by: .seconds(10))
    return pool.snapshot
  }

  private static let now = Verdicts.ready().now
  private let now = Self.now
  private let ready = Verdicts.ready().snapshot
  private let lost = Self.at(Self.now, Self.unready(Fault(.unexpectedAnswer, at: .probe)))
  private let late = Self.at(
    Self.now,
    Self.unready(
      Fault(.replayLag, at: .role, host: "db2:5432", message: "42.0s behind, at most 10.0s is allowed")))
  private let primarys: Snapshot = {
    var server = VirtualServer()
    server.refuse(Fault(.wrongRole, at: .role, host: "db1:5432"))
    let pool = VirtualPool(server: server)
    pool.advance(by: .seconds(12))
    return pool.snapshot
  }()

  /// As if it had been made then.
  private static func at(_ now: Instant, _ snapshot: Snapshot) -> Snapshot {
    var snapshot = snapshot
    snapshot.taken = now
    return snapshot
  }

  private func verdict(_ primary: Snapshot, _ standbys: [Snapshot], for access: Access) -> ReadWriteVerdict {
    let entries = standbys.enumerated().map { index, snapshot in
      ReadWriteSnapshot.Entry(.standby(host: "db\(index + 1):5432"), snapshot)
    }
    return ReadWriteSnapshot(primary: primary, standbys: entries, readyFor: access).verdict(at: now)
  }

  @Test("what writes needs the primary, what only reads needs any of them; what is missing degrades")
  func table() {
    struct Row {
      var primary: Snapshot
      var standby: Snapshot
      var ready: [Access: Bool]
      var degraded: [Access: Bool]
    }
    let rows = [
      Row(
        primary: ready, standby: ready, ready: [.write: true, .read: true],
        degraded: [.write: false, .read: false]),
      Row(
        primary: ready, standby: lost, ready: [.write: true, .read: true],
        degraded: [.write: true, .read: true]),
      Row(
        primary: lost, standby: ready, ready: [.write: false, .read: true],
        degraded: [.write: false, .read: true]),
      Row(
        primary: lost, standby: lost, ready: [.write: false, .read: false],
        degraded: [.write: false, .read: false]),
    ]
    for (index, row) in rows.enumerated() {
      for access in Access.allCases {
        let verdict = verdict(row.primary, [primarys, row.standby], for: access)
        #expect(verdict.isReady == row.ready[access], "row \(index), \(access)")
        #expect(verdict.isDegraded == row.degraded[access], "row \(index), \(access)")
        #expect(verdict.canWrite == (index < 2))
        #expect(verdict.canRead == (index < 3))
      }
    }
  }

  @Test("each pool is named with what it says; the line for everybody names no host")
  func names() {
    let verdict = verdict(ready, [primarys, late, ready], for: .write)
    #expect(
      verdict.detail
        == "primary: ready; standby db1:5432: is the primary; standby db2:5432: probe failed: role: standby is too "
        + "far behind (db2:5432): 42.0s behind, at most 10.0s is allowed; standby db3:5432: ready")
    #expect(
      verdict.text
        == "primary: ready; standby 1: is the primary; standby 2: probe failed: role: standby is too far behind; "
        + "standby 3: ready")
    #expect(verdict.description == "ready, degraded: \(verdict.detail)")
  }

  @Test("a single host is a primary and nothing besides")
  func single() {
    let verdict = verdict(ready, [], for: .read)
    #expect(verdict.isReady && !verdict.isDegraded && verdict.canRead && verdict.canWrite)
    #expect(verdict.description == "ready: primary: ready")
  }

  @Test("a pool that has stood still is not believed, whichever it is")
  func stalled() {
    var old = ready
    old.taken = now - .seconds(3)
    #expect(!verdict(old, [ready], for: .write).isReady)
    #expect(verdict(ready, [old], for: .write).isDegraded)
    #expect(!verdict(old, [old], for: .read).isReady)
    #expect(verdict(ready, [old], for: .read).detail == "primary: ready; standby db1:5432: stalled 3.0s")
  }
}
