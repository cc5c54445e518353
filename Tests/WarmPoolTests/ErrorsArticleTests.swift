import Foundation
import PoolCore
import Testing

@testable import WarmPool

/// Whoever searches the article for what the log says finds it there.
@Suite struct ErrorsArticleTests {
  private let counts = PoolCounts(min: 2, max: 10, idle: 3, leased: 7, waiting: 12)

  private func row(beginning text: String) throws -> String? {
    try Documentation.article("Errors").components(separatedBy: "\n").first { $0.hasPrefix("| `\(text)` |") }
  }

  @Test("the article explains each error of the pool in the words it is said in")
  func pool() throws {
    let kinds: [PoolError.Kind] = [
      .acquire(.timedOut(waited: .seconds(2))), .acquire(.queueFull(limit: 40)), .acquire(.draining),
      .acquire(.circuitOpen(because: nil, nextAttempt: .milliseconds(1200))), .acquire(.noCapacity), .query,
      .rolledBack, .commitUnknown, .drainTakenBack, .resumeRefused("why"), .ended, .notWarm(because: []),
    ]
    for kind in kinds {
      for maybeExecuted in kind == .query ? [false, true] : [false] {
        let said = PoolError(kind, maybeExecuted: maybeExecuted, pool: counts).description
        let words = said.components(separatedBy: " (")[0]
        // Of some, what follows the colon differs from case to case.
        let row = try #require(
          try row(beginning: words) ?? row(beginning: words.components(separatedBy: ": ")[0]), "\(words)")
        #expect(row.contains("| `\(Self.name(kind))` |"), "\(row) is not of \(kind)")
      }
    }
    let end = PoolError(.ended, pool: counts).description.components(separatedBy: " (")[1].dropLast()
    #expect(try Documentation.article("Errors").contains("`\(end)`"))
  }

  @Test("the article explains each kind of fault in the words it is said in")
  func faults() throws {
    let kinds: [Fault.Kind] = [
      .nameNotFound, .nameLookupFailed, .refused, .unreachable, .timedOut, .tlsFailed, .certificate,
      .passwordMissing, .wrongRole, .replayLag, .unexpectedAnswer,
    ]
    var faults = kinds.map { Fault($0, at: .tcp) }
    faults += [Fault(.closed, at: .idle), Fault(.misconfigured, at: .settings), Fault(.other, at: .query)]
    faults += [Fault(.attemptsStuck, at: .tcp), Fault(.otherCluster, at: .session)]
    faults += [Fault.Step.authentication, .probe, .query, .idle].map { Fault(.timedOut, at: $0) }
    let states: [SQLState] = [
      .invalidPassword, .invalidAuthorization, .unknownDatabase, .tooManyConnections, .adminShutdown,
      .crashShutdown, .cannotConnectNow, .queryCanceled, .readOnlyTransaction, .protocolViolation,
    ]
    faults += states.map { Fault(.server($0), at: .authentication) }
    for fault in faults {
      #expect(try row(beginning: fault.summary) != nil, "no row for: \(fault.summary)")
    }
    let article = try Documentation.article("Errors")
    for step in Fault.Step.allCases { #expect(article.contains("`\(step.rawValue)`"), "\(step)") }
  }

  private static func name(_ kind: PoolError.Kind) -> String {
    switch kind {
    case .acquire(.timedOut): "acquire(timedOut)"
    case .acquire(.queueFull): "acquire(queueFull)"
    case .acquire(.draining): "acquire(draining)"
    case .acquire(.circuitOpen): "acquire(circuitOpen)"
    case .acquire(.noCapacity): "acquire(noCapacity)"
    case .query: "query"
    case .rolledBack: "rolledBack"
    case .commitUnknown: "commitUnknown"
    case .drainTakenBack: "drainTakenBack"
    case .resumeRefused: "resumeRefused"
    case .ended: "ended"
    case .notWarm: "notWarm"
    }
  }
}
