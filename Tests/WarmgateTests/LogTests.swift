import Foundation
import PoolCore
import Support
import Testing

@testable import Health
@testable import warmgate

@Suite struct LogLineTests {
  private let time = Timestamp(seconds: 1_795_227_650, milliseconds: 7)

  private func line(_ message: String, _ fields: [JSON.Member] = [], _ format: LogFormat) -> String {
    let bytes = LogLine(time: time, level: .info, message: message, fields: fields).bytes(as: format)
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test("times are RFC 3339 in UTC with milliseconds")
  func times() {
    #expect(time.text == "2026-11-21T02:20:50.007Z")
    #expect(Timestamp(seconds: 951_782_400, milliseconds: 999).text == "2000-02-29T00:00:00.999Z")
    #expect(Timestamp(seconds: 0, milliseconds: 0).text == "1970-01-01T00:00:00.000Z")
  }

  @Test("a line has time, level, message and fields, as text and as JSON")
  func forms() {
    let fields: [JSON.Member] = [
      .init("state", "ready"), .init("open", 2), .init("reasons", ["a b", "c"]), .init("why", "say \"x\""),
    ]
    #expect(
      line("not ready", fields, .text)
        == "2026-11-21T02:20:50.007Z info  not ready state=ready open=2 reasons=\"a b; c\" why=\"say \\\"x\\\"\"\n"
    )
    #expect(
      line("not ready", fields, .json)
        == #"{"time":"2026-11-21T02:20:50.007Z","level":"info","message":"not ready","state":"ready","open":2,"reasons":["a b","c"],"why":"say \"x\""}"#
        + "\n")
  }

  @Test("an event is one line whatever its values hold", arguments: LogFormat.allCases)
  func oneLine(format: LogFormat) throws {
    let hostile = "a\nb\r\u{0}\u{1B}[2J\u{2028}\u{85}\" = é \\"
    let text = line(hostile, [.init("value", .string(hostile))], format)
    #expect(text.split(separator: "\n", omittingEmptySubsequences: false).count == 2)
    #expect(!text.dropLast().unicodeScalars.contains { $0.value < 0x20 })
    if format == .json {
      let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
      #expect(object["message"] as? String == hostile)
      #expect(object["value"] as? String == hostile)
    }
  }

  @Test("a line never exceeds what a pipe takes in one piece, and stays valid", arguments: LogFormat.allCases)
  func bounded(format: LogFormat) throws {
    let long = String(repeating: "x\n", count: 10_000)
    let many = (0..<500).map { JSON.Member("field\($0)", .string("value \($0)")) }
    for (message, fields) in [
      (long, []), ("m", [JSON.Member("said", .string(long))]), ("m", many), (long, many),
      ("m", [.init("one", .string(long)), .init("two", .string(long))]),
      (String(repeating: "e\u{301}", count: 5000), []),
      ("m", [.init("x", .string("e" + String(repeating: "\u{301}", count: 9000)))]),
    ] {
      let text = line(message, fields, format)
      #expect(text.utf8.count <= 4096)
      #expect(text.hasSuffix("\n"))
      #expect(text.contains("2026-11-21T02:20:50.007Z"))
      if format == .json {
        #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(text.utf8)) }
      }
    }
  }
}

@Suite struct LogTests {
  /// Reads what has been written into a pipe so far.
  private func contents(of pipe: Int32) -> String {
    _ = fcntl(pipe, F_SETFL, O_NONBLOCK)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = read(pipe, &buffer, buffer.count)
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += buffer[..<count]
    }
  }

  private func withPipe(_ body: (_ reading: Int32, _ writing: Int32) throws -> Void) throws {
    let pipe = Pipe()
    try body(pipe.fileHandleForReading.fileDescriptor, pipe.fileHandleForWriting.fileDescriptor)
  }

  @Test("lines below the level are not written; into a pipe they are JSON")
  func levels() throws {
    try withPipe { reading, writing in
      let log = Log(format: nil, level: .warn, descriptor: writing)
      log.info("quiet")
      log.debug("quiet")
      log.warn("loud", ["n": 1])
      log.error("louder")
      let lines = contents(of: reading).split(separator: "\n")
      #expect(lines.count == 2)
      #expect(lines.first?.hasSuffix(#""level":"warn","message":"loud","n":1}"#) == true)
      #expect(lines.last?.hasSuffix(#""level":"error","message":"louder"}"#) == true)
    }
  }

  @Test(
    "a pipe that nobody reads never holds the caller; what was dropped is counted and told",
    .timeLimit(.minutes(1)))
  func fullPipe() throws {
    try withPipe { reading, writing in
      let log = Log(format: .json, level: .info, descriptor: writing)
      // Far more than a pipe holds: a single blocking write would hang the test.
      for number in 0..<5000 {
        log.info("line", ["number": .int(number), "padding": .string(String(repeating: "x", count: 100))])
      }
      let dropped = log.droppedLines
      #expect(dropped > 0)
      let before = contents(of: reading).split(separator: "\n")
      #expect(before.count == 5000 - dropped)
      log.info("after")
      let after = contents(of: reading).split(separator: "\n")
      #expect(after.count == 2)
      #expect(after.first?.hasSuffix("\"dropped\":\(dropped)}") == true)
      #expect(after.last?.contains("\"after\"") == true)
      #expect(log.droppedLines == 0)
    }
  }

  @Test("a pipe whose reader has gone drops lines and does nothing worse", .timeLimit(.minutes(1)))
  func closedPipe() throws {
    // As serve does; not taken back, because other tests run at the same time.
    signal(SIGPIPE, SIG_IGN)
    let pipe = Pipe()
    try pipe.fileHandleForReading.close()
    let log = Log(format: .json, level: .info, descriptor: pipe.fileHandleForWriting.fileDescriptor)
    for _ in 0..<3 { log.info("line") }
    #expect(log.droppedLines == 3)
  }

  @Test("a transition tells state, cause and host; only a loss or a degradation is a warning")
  func transitions() throws {
    try withPipe { reading, writing in
      let log = Log(format: .json, level: .info, descriptor: writing)
      let state = try #require(SQLState("57P03"))
      let fault = Fault(
        .server(state), at: .session, host: "db:5432", message: "the database system is starting up")
      log.transition(Transition(at: .origin, from: .warming, to: .ready, degraded: false, reasons: []))
      log.transition(
        Transition(at: .origin, from: .ready, to: .unready, degraded: false, reasons: [.databaseLost(fault)]))
      log.transition(
        Transition(at: .origin, from: .unready, to: .ready, degraded: true, reasons: [.loginFailing(fault)]))
      log.fault(fault, during: .login)
      log.loginsWork(after: 3)
      let lines = try contents(of: reading).split(separator: "\n").map { line in
        try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      }
      #expect(lines.count == 5)
      #expect(lines.map { $0["level"] as? String } == ["info", "warn", "warn", "warn", "info"])
      #expect(lines.map { $0["state"] as? String } == ["ready", "unready", "ready", nil, nil])
      let reasons = try #require(lines[1]["reasons"] as? [String])
      #expect(reasons.first?.contains("db:5432") == true)
      #expect(reasons.first?.contains("the database system is starting up") == true)
      #expect(lines[2]["degraded"] as? Bool == true)
      #expect(lines[3]["sqlstate"] as? String == "57P03")
      #expect(lines[3]["said"] as? String == "the database system is starting up")
      #expect(lines[4]["failures"] as? Int == 3)
    }
  }
}
