import Foundation

extension TestPostgres {
  /// Runs statements with psql as superuser over the Unix socket: unaligned rows, `|` between columns, without
  /// the last newline. Each statement is a transaction of its own.
  @discardableResult
  public func sql(
    _ statements: String, database: String = "postgres", within limit: Duration = .seconds(15)
  ) async throws -> String {
    let output = try await runChecked(
      [
        installation.program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", socketDirectory,
        "-p", "\(port)", "-U", "postgres", "-d", database, "-f", "-",
      ],
      environment: cleanEnvironment(adding: ["PGAPPNAME": "fixture", "PGCONNECT_TIMEOUT": "10"]),
      input: statements, within: limit)
    return output.hasSuffix("\n") ? String(output.dropLast()) : output
  }

  /// How many sessions have an application name like this (an SQL pattern).
  public func sessions(like pattern: String = "warmgate%") async throws -> Int {
    Int(try await sql("select count(*) from pg_stat_activity where application_name like \(quoted(pattern))"))
      ?? 0
  }

  /// Ends sessions as `pg_terminate_backend` does, at most `limit` of them; returns how many.
  @discardableResult
  public func terminateBackends(applicationNameLike pattern: String, limit: Int = .max) async throws -> Int {
    Int(
      try await sql(
        """
        select count(pg_terminate_backend(pid)) from (
          select pid from pg_stat_activity where application_name like \(quoted(pattern))
          order by backend_start desc limit \(limit)) as chosen
        """)) ?? 0
  }

  /// Everything the server has logged, over all its starts. Each line begins
  /// `2025-01-31 12:00:00.123 UTC [pid] app=NAME state=SQLSTATE`.
  public var logText: String {
    String(decoding: (try? Data(contentsOf: URL(fileURLWithPath: logPath))) ?? Data(), as: UTF8.self)
  }

  /// The log's lines that match a regular expression.
  public func logLines(matching pattern: String) -> [String] {
    guard let regex = try? NSRegularExpression(pattern: pattern) else { return [] }
    return logText.split(separator: "\n").map(String.init).filter {
      regex.firstMatch(in: $0, range: NSRange($0.startIndex..., in: $0)) != nil
    }
  }

  public func countInLog(matching pattern: String) -> Int { logLines(matching: pattern).count }

  /// How many connections have reached the server so far, the fixture's own included (`sql` is one each).
  public var connectionsReceived: Int { countInLog(matching: "connection received:") }

  var logTail: String { logText.split(separator: "\n").suffix(20).joined(separator: "\n") }
}

/// A text as an SQL literal.
func quoted(_ text: String) -> String { "'\(text.replacingOccurrences(of: "'", with: "''"))'" }
