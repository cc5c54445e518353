import Support
import Testing

@testable import Health

/// Each case has the bytes that a prober sends, and those that it gets back. Only the date is not looked at.
///
/// What it sends was recorded from the real one where that can be had (HAProxy 2.6.12, curl 7.88.1, grpcio 1.85), is
/// written as its sources write it, or was recorded by others on the wire. HAProxy's agent check is in `AgentTests`,
/// and the real gRPC client in `GRPCHealthTests`.
@Suite("each prober's dialect, byte by byte", .timeLimit(.minutes(5)))
struct DialectTests {
  struct Prober: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let request: String
    /// It says that it wants the connection closed, or speaks HTTP/1.0, where that goes without saying.
    var closes = false

    init(_ name: String, closes: Bool = false, _ lines: String...) {
      testDescription = name
      self.closes = closes
      request = wire(lines + ["", ""])
    }
  }

  static let probers = [
    // pkg/probe/http: no keep-alive, no compression. Recorded in this form from a kubelet 1.32.
    Prober(
      "the kubelet's httpGet probe", closes: true, "GET /ready HTTP/1.1", "Host: 10.96.1.207:8086",
      "User-Agent: kube-probe/1.33", "Accept: */*", "Connection: close"),
    Prober("HAProxy: option httpchk", closes: true, "OPTIONS / HTTP/1.0"),
    Prober(
      "HAProxy: http-check send meth GET uri /ready ver HTTP/1.1 hdr Host shop.example", closes: true,
      "GET /ready HTTP/1.1", "host: shop.example", "connection: close"),
    Prober(
      "HAProxy: option httpchk GET /ready, http-check send-state", closes: true, "GET /ready HTTP/1.0",
      "x-haproxy-server-state: UP 1/3; address=127.0.0.1; port=8086; name=c/s; node=vm; weight=1/1; scur=0/0; qcur=0"
    ),
    // Recorded by tcpdump on a target of an ALB; / is its default path.
    Prober(
      "AWS ALB", closes: true, "GET / HTTP/1.1", "Host: 10.0.7.140:8080", "Connection: close",
      "User-Agent: ELB-HealthChecker/2.0", "Accept-Encoding: gzip, compressed"),
    // "Health checks for your target groups" of the NLB's manual: Host is the address of the load balancer's node and
    // the port of its listener, where this instance is not.
    Prober(
      "AWS NLB, whose Host is its own", closes: true, "GET /ready HTTP/1.1", "Host: 192.0.2.77:443",
      "Connection: close", "User-Agent: ELB-HealthChecker/2.0", "Accept-Encoding: gzip, compressed"),
    // Recorded on a target in GKE: Host without the port, and the connection is kept.
    Prober(
      "Google Cloud", "GET /ready HTTP/1.1", "Host: 10.96.1.207", "User-Agent: GoogleHC/1.0",
      "Connection: Keep-alive"),
    // source/extensions/health_checkers/http: Host is the cluster's name, header names in small letters.
    Prober("Envoy", "GET /ready HTTP/1.1", "host: warmgate", "user-agent: Envoy/HC"),
    Prober(
      "curl -I", "HEAD /ready HTTP/1.1", "Host: 127.0.0.1:8086", "User-Agent: curl/7.88.1", "Accept: */*"),
    Prober("HTTP/1.0 without Host", closes: true, "GET /ready HTTP/1.0"),
  ]

  /// The whole answer to a GET on a connection that is kept.
  static let answers: [(State, String)] = [
    (
      .ready,
      wire([
        "HTTP/1.1 200 OK", "Date: *", "Content-Type: text/plain; charset=utf-8", "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff", "Content-Length: 6", "", "ready\n",
      ])
    ),
    (
      .degraded,
      wire([
        "HTTP/1.1 200 OK", "Date: *", "Content-Type: text/plain; charset=utf-8", "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff", "x-envoy-degraded: true", "Content-Length: 62", "",
        "ready\ndegraded: login failing: 53300 no connection slots left\n",
      ])
    ),
    (
      .warming,
      wire([
        "HTTP/1.1 503 Service Unavailable", "Date: *", "Content-Type: text/plain; charset=utf-8",
        "Cache-Control: no-store", "X-Content-Type-Options: nosniff", "Retry-After: 5", "Content-Length: 23",
        "", "not ready: warming 1/2\n",
      ])
    ),
    (
      .draining,
      wire([
        "HTTP/1.1 503 Service Unavailable", "Date: *", "Content-Type: text/plain; charset=utf-8",
        "Cache-Control: no-store", "X-Content-Type-Options: nosniff", "Retry-After: 5",
        "x-envoy-immediate-health-check-fail: true", "Content-Length: 20", "", "not ready: draining\n",
      ])
    ),
  ]

  /// How the answer to this prober differs from that.
  private static func answer(_ whole: String, to prober: Prober) -> String {
    var answer = whole
    if prober.closes { answer = answer.replacing("Date: *\r\n", with: "Date: *\r\nConnection: close\r\n") }
    if prober.request.hasPrefix("OPTIONS ") {
      answer = answer.replacing("Content-Length: ", with: "Allow: GET, HEAD, OPTIONS\r\nContent-Length: ")
    }
    if prober.request.hasPrefix("HEAD "), let end = answer.firstRange(of: "\r\n\r\n") {
      answer = String(answer[..<end.upperBound])
    }
    return answer
  }

  @Test("over HTTP, warming, ready, degraded and draining", arguments: probers)
  func http(prober: Prober) throws {
    let fixture = try HealthFixture()
    defer { fixture.server.stop() }
    for (state, whole) in Self.answers {
      fixture.set(state)
      let client = try fixture.client()
      let expected = Self.answer(whole, to: prober)
      // A connection that is kept has the same answer for a second question.
      for _ in 0..<(prober.closes ? 1 : 2) {
        try client.send(prober.request)
        #expect(try client.answer(until: expected) == expected, "\(prober.testDescription) when \(state)")
      }
      if prober.closes { #expect(try client.isEnded()) }
    }
  }

  @Test("the kubelet's httpGet hook drains, with the token")
  func hook() throws {
    let admin = try AdminFixture(
      listen: "0.0.0.0:0", token: "s3cret", answers: .done(AdminFixture.counts))
    func expect(_ authorization: [String], _ answer: [String]) throws {
      let client = try admin.client()
      // pkg/kubelet/lifecycle with Go's default transport: it keeps the connection and would unpack gzip.
      try client.send(
        wire(
          [
            "GET /drain HTTP/1.1", "Host: 10.96.1.207:8087", "User-Agent: kube-lifecycle/1.33", "Accept: */*",
          ] + authorization + ["Accept-Encoding: gzip", "", ""]))
      let expected = wire(answer)
      #expect(try client.answer(until: expected) == expected)
    }
    let common = [
      "Content-Type: text/plain; charset=utf-8", "Cache-Control: no-store", "X-Content-Type-Options: nosniff",
    ]
    try expect(
      [],
      ["HTTP/1.1 401 Unauthorized", "Date: *"] + common + [
        "WWW-Authenticate: Bearer realm=\"warmgate\"", "Content-Length: 55", "",
        "a valid token is required: Authorization: Bearer TOKEN\n",
      ])
    #expect(admin.seen.drains.isEmpty && admin.seen.refused.count == 1)
    try expect(
      ["Authorization: Bearer s3cret"],
      ["HTTP/1.1 200 OK", "Date: *"] + common + [
        "Content-Length: 80", "",
        "drained: 3 leases finished, 0 cut off, 2 waiting refused, 10 connections closed\n",
      ])
    #expect(admin.seen.drains.count == 1)
  }

  @Test("HAProxy itself believes each of its own forms", arguments: [true, false])
  func haproxy(isUpFirst: Bool) async throws {
    let fixture = try HealthFixture(isUpFirst ? .ready : .warming, listen: "127.0.0.1:0")
    defer { fixture.server.stop() }
    let port = try #require(fixture.server.address.port)
    let forms = [
      "plain": "option httpchk",
      "sent": "option httpchk\n  http-check send meth GET uri /ready ver HTTP/1.1 hdr Host shop.example",
      "told": "option httpchk GET /ready\n  http-check send-state",
    ]
    let proxy = try await HAProxy.started(
      forms.map { name, form in
        """
        backend \(name)
          \(form)
          server instance 127.0.0.1:\(port) check inter 100ms rise 1 fall 1
        """
      }.joined(separator: "\n"))
    defer { proxy.close() }
    for (state, status): (State, String) in [
      isUpFirst ? (.ready, "UP") : (.warming, "DOWN"), (.degraded, "UP"), (.draining, "DOWN"), (.ready, "UP"),
      (.stalled, "DOWN"),
    ] {
      fixture.set(state)
      for name in forms.keys {
        #expect(
          await eventually { try proxy.server("instance", of: name).status == status },
          "\(name) when \(state)\n\(proxy.log)")
      }
    }
  }

  // MARK: - gRPC

  /// A `Check` of the service `ready`, as grpcio 1.85 sends it when it has the server's settings: HEADERS in literals
  /// that go into the dynamic table, then DATA.
  private static let check: [UInt8] =
    frame(
      1, flags: 4, stream: 1,
      literal(":path", "/grpc.health.v1.Health/Check") + literal(":authority", "127.0.0.1:8088") + [
        0x83, 0x86,
      ]
        + literal("content-type", "application/grpc") + literal("te", "trailers")
        + literal("grpc-accept-encoding", "identity, deflate, gzip") + literal("grpc-timeout", "4990m")
        + literal("user-agent", "grpc-python/1.85.1 grpc-c/58.0.0 (linux; chttp2)"))
    + frame(8, stream: 1, [0, 0, 0, 5])
    + frame(0, flags: 1, stream: 1, [0, 0, 0, 0, 7, 10, 5] + "ready".utf8)
    + frame(8, stream: 0, [0, 0, 0, 5])

  private static func frame(_ kind: UInt8, flags: UInt8 = 0, stream: UInt8, _ payload: [UInt8]) -> [UInt8] {
    [0, 0, UInt8(payload.count), kind, flags, 0, 0, 0, stream] + payload
  }

  private static func literal(_ name: String, _ value: String) -> [UInt8] {
    [0x40, UInt8(name.utf8.count)] + name.utf8 + [UInt8(value.utf8.count)] + value.utf8
  }

  /// SERVING is 1, NOT_SERVING 2.
  private static let statuses: [(State, UInt8)] = [
    (.warming, 2), (.ready, 1), (.degraded, 1), (.draining, 2), (.drained, 2),
  ]

  @Test("over gRPC, as grpc_health_probe asks", arguments: statuses)
  func grpc(state: State, status: UInt8) throws {
    let fixture = try GRPCFixture(state)
    let client = try fixture.client(greets: false)
    // The preface, with SETTINGS and WINDOW_UPDATE behind it.
    try client.raw.send(
      HTTP2Client.preface
        + Self.frame(
          4, stream: 0,
          [
            0, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 4, 0, 0x40, 0, 0, 0, 5, 0, 0x40, 0, 0, 0, 6, 0, 0, 0x40, 0,
            0xFE, 3, 0, 0, 0, 1,
          ]) + Self.frame(8, stream: 0, [0, 0x3F, 0, 1]))
    // SETTINGS: 100 calls at once, headers of 8 KiB. Then theirs are acknowledged.
    let greeting =
      Self.frame(4, stream: 0, [0, 3, 0, 0, 0, 100, 0, 6, 0, 0, 0x20, 0])
      + Self.frame(4, flags: 1, stream: 0, [])
    #expect(try client.raw.bytes(greeting.count) == greeting)
    try client.raw.send(Self.frame(4, flags: 1, stream: 0, []) + Self.check)
    // `:status: 200`, `content-type: application/grpc`; the message; `grpc-status: 0`. Names and values in Huffman
    // code, not indexed (RFC 7541, appendices A and B).
    let answer =
      Self.frame(
        1, flags: 4, stream: 1,
        [0x88, 0x5F, 0x8B, 0x1D, 0x75, 0xD0, 0x62, 0x0D, 0x26, 0x3D, 0x4C, 0x4D, 0x65, 0x64])
      + Self.frame(0, stream: 1, [0, 0, 0, 0, 2, 8, status])
      + Self.frame(
        1, flags: 5, stream: 1, [0x40, 0x88, 0x9A, 0xCA, 0xC8, 0xB2, 0x12, 0x34, 0xDA, 0x8F, 0x01, 0x30])
    #expect(try client.raw.bytes(answer.count) == answer)
  }
}

/// As HTTP wants its lines. The last one is what follows the head, as it is.
private func wire(_ lines: [String]) -> String { lines.joined(separator: "\r\n") }

extension RawClient {
  /// So many bytes, or fewer at the end.
  fileprivate func bytes(_ count: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let more = try next()
      if more.isEmpty { break }
      bytes += more
    }
    return bytes
  }

  /// What comes, its date made equal, as soon as it is as long as what is expected (or at the end).
  fileprivate func answer(until expected: String) throws -> String {
    var answer = ""
    while answer.utf8.count < expected.utf8.count {
      let more = try next()
      if more.isEmpty { break }
      answer += String(decoding: more, as: UTF8.self)
      // RFC 9110, 5.6.7: IMF-fixdate.
      answer.replace(
        /Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n/, with: "Date: *\r\n")
    }
    return answer
  }
}
