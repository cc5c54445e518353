import PoolCore
import Support
import WarmPool

/// One thing that a task of the load does, with an answer that can be checked.
enum Operation: Sendable {
  /// Money moves from one account to another, and the journal says so, in one statement.
  case move(Transfer)
  /// The same in a transaction of several statements; `isTakenBack`: rolled back on purpose at its end.
  case moveInSteps(Transfer, isTakenBack: Bool)
  /// An answer that must belong to its question.
  case ask(Int)
  /// An answer of many rows, each of which belongs to its question.
  case list(Int, rows: Int)
  /// All the money there is, which never changes.
  case audit

  static func random(using random: inout SeededRandom, nextTransfer: () -> Int) -> Operation {
    func transfer() -> Transfer {
      let source = Int.random(in: 1...Ledger.accounts, using: &random)
      let distance = Int.random(in: 1..<Ledger.accounts, using: &random)
      return Transfer(
        id: nextTransfer(), source: source, target: (source - 1 + distance) % Ledger.accounts + 1,
        amount: Int.random(in: 1...100, using: &random))
    }
    switch Int.random(in: 0..<100, using: &random) {
    case ..<35: return .move(transfer())
    case ..<55: return .moveInSteps(transfer(), isTakenBack: false)
    case ..<60: return .moveInSteps(transfer(), isTakenBack: true)
    case ..<85: return .ask(Int.random(in: 0..<1_000_000, using: &random))
    case ..<95:
      return .list(
        Int.random(in: 0..<1_000_000, using: &random), rows: Int.random(in: 1...300, using: &random))
    default: return .audit
    }
  }

  var transfer: Transfer? {
    switch self {
    case .move(let transfer), .moveInSteps(let transfer, _): transfer
    case .ask, .list, .audit: nil
    }
  }
}

struct Transfer: Sendable {
  var id: Int
  var source: Int
  var target: Int
  var amount: Int

  var parameters: [Parameter] { [Parameter(id), Parameter(source), Parameter(target), Parameter(amount)] }
}

/// An answer that belongs to another question, or to none.
struct WrongAnswer: Error, CustomStringConvertible {
  var description: String
}

/// The caller's own decision to roll back.
private struct TakenBack: Error {}

extension Operation {
  /// What its caller may conclude about the transfer.
  enum Claim: Hashable, Sendable {
    /// It happened, once.
    case executed
    /// It did not happen, and will not.
    case notExecuted
    /// It may have happened, once.
    case unknown
  }

  struct Outcome: Sendable {
    var claim: Claim
    /// Nil for an operation that did what it should.
    var failure: String?
    var wrongAnswer: String?
  }

  /// Does it on a connection of the pool. Never throws: what went wrong is part of the outcome.
  func perform(on pool: WarmPool) async -> Outcome {
    do {
      switch self {
      case .move(let transfer):
        let done = try await pool.query(
          "SELECT transfer($1, $2, $3, $4)", transfer.parameters, inLease: transfer.id.isMultiple(of: 2))
        try check(done[0, 0], is: "\(transfer.id)")
      case .moveInSteps(let transfer, let isTakenBack):
        try await pool.withTransaction { db in
          _ = try await db.query("INSERT INTO journal VALUES ($1, $2, $3, $4)", transfer.parameters)
          let changes = [(transfer.source, -transfer.amount), (transfer.target, transfer.amount)]
          // Always the lower account first, so that no two of them wait for each other.
          for (account, change) in changes.sorted(by: { $0.0 < $1.0 }) {
            let changed = try await db.query(
              "UPDATE accounts SET balance = balance + $2 WHERE id = $1",
              [Parameter(account), Parameter(change)])
            try check(changed.affectedRows.map(String.init), is: "1")
          }
          if isTakenBack { throw TakenBack() }
        }
      case .ask(let number):
        try await pool.withConnection { db in
          let answer = try await db.query("SELECT $1::int, pg_backend_pid()", [Parameter(number)])
          try check(answer[0, 0], is: "\(number)")
          try check(answer[0, 1], is: "\(db.backendPID)")
        }
      case .list(let number, let rows):
        let answer = try await pool.query(
          "SELECT n, $1::int FROM generate_series(1, $2::int) AS n", [Parameter(number), Parameter(rows)],
          inLease: number.isMultiple(of: 2))
        try check("\(answer.rowCount)", is: "\(rows)")
        for (index, row) in answer.rows.enumerated() {
          try check(row[0], is: "\(index + 1)")
          try check(row[1], is: "\(number)")
        }
      case .audit:
        let sum = try await pool.query("SELECT sum(balance) FROM accounts")
        try check(sum[0, 0], is: "\(Ledger.total)")
      }
      return Outcome(claim: .executed)
    } catch is TakenBack {
      return Outcome(claim: .notExecuted)
    } catch let wrong as WrongAnswer {
      return Outcome(claim: .unknown, failure: "wrong answer", wrongAnswer: "\(self): \(wrong)")
    } catch let error as PoolError {
      if case .moveInSteps = self {
        // What it promises of everything else is that nothing was executed.
        return Outcome(
          claim: error.kind == .commitUnknown ? .unknown : .notExecuted, failure: error.shortName)
      }
      return Outcome(claim: error.claim, failure: error.shortName)
    } catch is CancellationError {
      return Outcome(claim: .notExecuted, failure: "cancelled while waiting")
    } catch {
      return Outcome(claim: .unknown, failure: "\(error)", wrongAnswer: "unexpected error: \(error)")
    }
  }

  private func check(_ answer: String?, is expected: String) throws(WrongAnswer) {
    if answer != expected {
      throw WrongAnswer(description: "answered \(answer ?? "nothing"), expected \(expected)")
    }
  }
}

extension WarmPool {
  /// Either way the same.
  fileprivate func query(_ sql: String, _ parameters: [Parameter], inLease: Bool) async throws -> QueryResult
  {
    if !inLease { return try await query(sql, parameters) }
    return try await withConnection { db in try await db.query(sql, parameters) }
  }
}

extension PoolError {
  /// What it says about a statement that commits.
  var claim: Operation.Claim {
    guard kind == .query else { return .notExecuted }
    if !maybeExecuted { return .notExecuted }
    // An error of the statement itself means that the server has rolled it back; one that ends the session does not.
    switch fault?.sqlState?.errorClass {
    case "22", "23", "25", "40", "42", "53": return .notExecuted
    default: return fault?.sqlState == .queryCanceled ? .notExecuted : .unknown
    }
  }

  /// For a table of what went wrong how often.
  var shortName: String {
    let cause = fault.map { $0.sqlState?.code ?? $0.kindName }
    return switch kind {
    case .acquire(.timedOut): "no connection in time"
    case .acquire(.queueFull): "queue full"
    case .acquire(.draining): "draining"
    case .commitUnknown: "\(cause ?? "lost") at COMMIT"
    case .query: "\(cause ?? "statement failed")\(maybeExecuted ? "" : " (not executed)")"
    default: "refused: \(cause ?? "\(kind)")"
    }
  }
}
