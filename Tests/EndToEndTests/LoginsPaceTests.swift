import Foundation
import Support
import Testing

/// Each cause of a failed login, what is said of it, and how often it may be tried in 30 seconds.
///
/// The bounds follow from the rule of the retry pace. For a fixed range of waits they are certain: with waits from a
/// to b seconds, at most 1 + 30/a attempts and at least 1 + 30/b. For full jitter (each wait evenly from nothing to a
/// bound that doubles from `base` to `cap`) the distribution of the number of attempts was computed; outside the
/// upper bound lies less than one in a million. The lower bounds leave room for a slow machine.
private struct Cause: Sendable {
  let name: String
  let url: @Sendable (LoginsServers) -> String
  var flags: [String] = []
  /// The end of the first line of `/ready`.
  let words: String
  var kind = "server"
  var sqlState: String?
  let step: String
  /// How many logins the server may see in 30 s.
  let attempts: ClosedRange<Int>
  /// How many it has seen.
  let count: @Sendable (LoginsServers, Range<Date>) -> Int?
  /// What `warmgate check` calls the step, and the beginning of its advice.
  let check: (step: String, advice: String)

  static let all: [Cause] = [
    Cause(
      name: "wrong password",
      url: { $0.plain.tcpURL(user: "unlucky") },
      words: "28P01 password authentication failed", sqlState: "28P01", step: "authentication",
      // One more try soon, because the password may have been changed just now; then 30 to 60 s.
      attempts: 2...2,
      count: { $0.plain.log(in: $1).count("FATAL", "state=28P01", "\"unlucky\"") },
      check: ("login", "Check user and password")),
    Cause(
      name: "unknown database",
      url: { $0.plain.tcpURL(user: "lost", database: "missing") },
      words: "3D000 database does not exist", sqlState: "3D000", step: "authentication",
      // In the first minute every 2.5 to 7.5 s.
      attempts: 4...13,
      count: { $0.plain.log(in: $1).count("FATAL", "state=3D000", "\"missing\"") },
      check: ("login", "Create the database")),
    Cause(
      name: "role that may not log in",
      url: { $0.plain.tcpURL(user: "locked") },
      words: "28000 login not allowed", sqlState: "28000", step: "authentication",
      // 30 to 60 s.
      attempts: 1...1,
      count: { $0.plain.log(in: $1).count("FATAL", "state=28000", "\"locked\"") },
      check: ("login", "Check pg_hba.conf")),
    Cause(
      name: "full server",
      url: { $0.full.tcpURL(user: "app") },
      words: "53300 no connection slots left", sqlState: "53300", step: "authentication",
      // Full jitter from 1 s to 30 s: 6.6 on average.
      attempts: 3...13,
      count: { $0.full.log(in: $1).count("FATAL", "state=53300") },
      check: ("login", "Free connections")),
    Cause(
      name: "server that recovers and takes nobody",
      url: { $0.coldStandby.tcpURL() },
      words: "57P03 server is starting", sqlState: "57P03", step: "authentication",
      // Full jitter from 100 ms to 2 s: 34 on average.
      attempts: 20...53,
      count: { $0.coldStandby.log(in: $1).count("FATAL", "state=57P03") },
      check: ("login", "Wait: the server is starting")),
    Cause(
      name: "standby where --require-role wants a primary",
      url: { $0.hotStandby.tcpURL() + "?sslmode=disable" },
      flags: ["--require-role", "primary", "--application-name", "flag"],
      words: "role: server does not have the required role", kind: "wrong_role", step: "role",
      // Full jitter from 100 ms to 5 s: 17.4 on average.
      attempts: 8...30,
      count: { $0.hotStandby.log(in: $1).count("connection authorized", "application_name=flag/") },
      check: ("role", "Name the right host")),
    Cause(
      name: "standby where target_session_attrs wants a primary",
      url: { $0.hotStandby.tcpURL() + "?target_session_attrs=primary" },
      flags: ["--application-name", "attrs"],
      words: "role: server does not have the required role", kind: "wrong_role", step: "role",
      attempts: 8...30,
      count: { $0.hotStandby.log(in: $1).count("connection authorized", "application_name=attrs/") },
      check: ("role", "Name the right host")),
    Cause(
      name: "standby where target_session_attrs wants to write",
      url: { $0.hotStandby.tcpURL() + "?target_session_attrs=read-write" },
      flags: ["--application-name", "write"],
      words: "role: server does not have the required role", kind: "wrong_role", step: "role",
      attempts: 8...30,
      count: { $0.hotStandby.log(in: $1).count("connection authorized", "application_name=write/") },
      check: ("role", "Name the right host")),
    Cause(
      name: "TLS wanted from a server that has none",
      url: { $0.full.tcpURL() + "?sslmode=require" },
      words: "tls: not available or handshake failed", kind: "tls_failed", step: "tls",
      // 30 to 60 s. The server says nothing but that somebody came: who is not turned away for want of a slot is this,
      // or the attempt that the other sidecar at this server was ended in.
      attempts: 1...2,
      count: { $0.full.log(in: $1).connections(without: "state=53300") },
      check: ("tls", "Check sslmode")),
    Cause(
      name: "expired certificate",
      url: { "\($0.expired.tcpURL())?sslmode=verify-full&sslrootcert=\($0.expired.authorityPath)" },
      words: "tls: certificate not accepted", kind: "certificate", step: "tls",
      // 15 to 30 s.
      attempts: 1...3,
      count: { $0.expired.log(in: $1).count("could not accept SSL connection", "expired") },
      check: ("tls", "Check sslrootcert")),
    Cause(
      name: "certificate of an unknown authority",
      url: { "\($0.expired.tcpURL())?sslmode=verify-ca&sslrootcert=\($0.strangeAuthority)" },
      words: "tls: certificate not accepted", kind: "certificate", step: "tls",
      attempts: 1...3,
      count: { $0.expired.log(in: $1).count("could not accept SSL connection", "unknown ca") },
      check: ("tls", "Check sslrootcert")),
    Cause(
      name: "no password",
      url: { $0.primary.tcpURL(password: nil) },
      words: "authentication: no password supplied", kind: "password_missing", step: "authentication",
      // 30 to 60 s.
      attempts: 1...1,
      count: { $0.primary.log(in: $1).count("connection received") },
      check: ("login", "The server asks for a password")),
    Cause(
      name: "nothing listens",
      url: { _ in "postgresql://app@127.0.0.1:1/app" },
      words: "tcp: connection refused", kind: "refused", step: "tcp",
      // Full jitter from 100 ms to 5 s. Nobody is there to count; `/status` says the number.
      attempts: 8...30,
      count: { _, _ in nil },
      check: ("tcp", "Nothing listens there")),
  ]
}

extension TestPostgres {
  fileprivate func log(in time: Range<Date>) -> LoginsLog {
    LoginsLog(self, in: time)
  }
}

@Suite("a login that fails")
struct LoginsPaceTests {
  @Test(
    "every cause has its own reason and its own pace, by the server's count over 30 s, and check explains it")
  func pace() async throws {
    let servers = try await LoginsServers.started()
    do {
      try await withThrowingTaskGroup { group in
        for cause in Cause.all { group.addTask { try await observe(cause, servers) } }
        try await group.waitForAll()
      }
      expectNobodyElse(servers)
      for cause in Cause.all {
        let (step, advice) = cause.check
        try await expectCheck(cause.flags, url: cause.url(servers), toFailAt: step, advising: advice)
      }
    } catch {
      await servers.close()
      throw error
    }
    await servers.close()
  }

  private func observe(_ cause: Cause, _ servers: LoginsServers) async throws {
    try await withSidecar(cause.flags, url: cause.url(servers)) { sidecar in
      let time = try #require(sidecar.log("listening").first?["time"].string.flatMap(LoginsLog.time))
      let end = sidecar.listening.at + .seconds(30)
      let ready = sidecar.observer(every: .milliseconds(250))
      try await sidecar.expectNotReady(because: "warming 0/2, \(cause.words)")
      let reason = try await sidecar.verdict()["reasons"][0]
      #expect(reason["sqlstate"].string == cause.sqlState, "\(cause.name): \(reason)")
      #expect(reason["step"].string == cause.step, "\(cause.name): \(reason)")
      // Not to wait for something: this is the time over which attempts are counted.
      try await Task.sleep(until: end)
      let status = try await sidecar.status()
      #expect(status["login"]["last_fault"]["kind"].string == cause.kind, "\(cause.name)")
      let told = try #require(status["counters"]["logins_failed"].int)
      // What the server has written may lie in a buffer for a moment.
      try await Task.sleep(for: .milliseconds(200))
      let seen = cause.count(servers, time..<time + 30)
      print("\(cause.name): \(seen.map { "\($0)" } ?? "-") attempts at the server, \(told) told")
      #expect(cause.attempts.contains(seen ?? told), "\(cause.name): \(seen ?? told) of \(cause.attempts)")
      // A login is one knock, and none is hidden: at most one may lie between the two counts.
      #expect(abs(told - (seen ?? told)) <= 1, "\(cause.name): \(told) told, \(seen ?? 0) seen")
      #expect(await ready.stop().allSatisfy { $0.status == 503 }, "\(cause.name)")
    }
  }

  /// Every connection over TCP is an attempt that was counted, or one of those that the end of a sidecar cut short.
  private func expectNobodyElse(_ servers: LoginsServers) {
    func expect(_ pg: TestPostgres, _ attempts: String, sidecars: Int) {
      let strangers =
        pg.countInLog(matching: "connection received: host=127") - pg.countInLog(matching: attempts)
      #expect((0...sidecars).contains(strangers), "\(attempts): \(strangers) connections too many")
    }
    expect(servers.plain, "FATAL", sidecars: 3)
    expect(servers.expired, "could not accept SSL connection", sidecars: 2)
    expect(servers.hotStandby, "connection authorized.*application_name=(flag|attrs|write)/", sidecars: 3)
    expect(servers.coldStandby, "FATAL", sidecars: 1)
  }
}
