import Support

/// Accounts and a journal of transfers between them, at the server.
///
/// The journal has no unique key on purpose: a transfer that is executed twice must show.
enum Ledger {
  static let accounts = 100
  static let total = accounts * 1000

  static func create(on postgres: TestPostgres, journalIn tablespace: String? = nil) async throws {
    try await postgres.sql(
      """
      CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL) WITH (fillfactor = 50);
      INSERT INTO accounts SELECT n, 1000 FROM generate_series(1, \(accounts)) AS n;
      CREATE TABLE journal (id bigint, source int, target int, amount int)
        \(tablespace.map { "TABLESPACE \($0)" } ?? "");
      CREATE FUNCTION transfer(entry bigint, source int, target int, amount int) RETURNS bigint
      LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO journal VALUES (entry, source, target, amount);
        UPDATE accounts SET balance = balance + CASE WHEN source < target THEN -amount ELSE amount END
          WHERE id = least(source, target);
        UPDATE accounts SET balance = balance + CASE WHEN source < target THEN amount ELSE -amount END
          WHERE id = greatest(source, target);
        RETURN entry;
      END $$;
      GRANT ALL ON accounts, journal TO public;
      """)
  }

  /// What does not agree with what the callers were told; empty if all is well.
  static func disagreements(
    on postgres: TestPostgres, with claims: [Int: Operation.Claim]
  ) async throws -> [String] {
    var problems: [String] = []
    let entries = try await postgres.sql("SELECT id, count(*) FROM journal GROUP BY id", within: .seconds(60))
    var counts: [Int: Int] = [:]
    for line in entries.split(separator: "\n") {
      let fields = line.split(separator: "|").compactMap { Int($0) }
      if fields.count == 2 { counts[fields[0]] = fields[1] }
    }
    for (id, count) in counts {
      if count > 1 { problems.append("transfer \(id) was executed \(count) times") }
      switch claims[id] {
      case .notExecuted?: problems.append("transfer \(id) was executed, its caller was told that it was not")
      case nil: problems.append("transfer \(id) belongs to nobody")
      case .executed?, .unknown?: break
      }
    }
    for (id, claim) in claims where claim == .executed && counts[id] == nil {
      problems.append("transfer \(id) is lost, its caller was told that it was executed")
    }
    let unbalanced = try await postgres.sql(
      """
      SELECT a.id, a.balance, 1000 + coalesce(sum(change), 0)
      FROM accounts a LEFT JOIN (
        SELECT source AS id, -amount AS change FROM journal UNION ALL SELECT target, amount FROM journal
      ) AS changes USING (id)
      GROUP BY a.id, a.balance HAVING a.balance <> 1000 + coalesce(sum(change), 0)
      """, within: .seconds(60))
    for line in unbalanced.split(separator: "\n") {
      problems.append("account|balance|by the journal: \(line)")
    }
    let sum = try await postgres.sql("SELECT sum(balance) FROM accounts")
    if sum != "\(total)" { problems.append("the sum is \(sum), not \(total)") }
    return problems
  }
}
