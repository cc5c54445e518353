import Testing

@testable import warmgate

@Suite struct HTTPResponseTests {
  private func read(_ text: String, ended: Bool = false) throws -> HTTPResponse? {
    try HTTPResponse.read(Array(text.utf8), ended: ended)
  }

  @Test("an answer is complete when its length has arrived, and not a byte earlier")
  func length() throws {
    let whole = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\nX-A:  b \r\n\r\nnot ready"
    for count in 0..<whole.utf8.count {
      #expect(try HTTPResponse.read(Array(whole.utf8.prefix(count)), ended: false) == nil)
    }
    let answer = try #require(try read(whole + "more"))
    #expect(answer.status == 503)
    #expect(answer.body == "not ready")
    #expect(answer.headers["x-a"] == "b")
  }

  @Test("without a length the answer ends with the connection")
  func untilClose() throws {
    #expect(try read("HTTP/1.0 200 OK\r\n\r\nready\nmore\n") == nil)
    let answer = try #require(try read("HTTP/1.0 200 OK\r\n\r\nready\nmore\n", ended: true))
    #expect(answer.firstLine == "ready")
  }

  @Test("chunks are put together")
  func chunks() throws {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    #expect(try read(head + "3\r\nrea\r\n2;x=y\r\ndy\r\n") == nil)
    #expect(try read(head + "3\r\nrea\r\n2;x=y\r\ndy\r\n0\r\n\r\n")?.body == "ready")
    #expect(try read(head + "A\r\n0123456789\r\n0\r\n\r\n")?.body == "0123456789")
  }

  @Test(
    "what is not an answer is refused and never waited for",
    arguments: [
      "SSH-2.0-OpenSSH_9.2\r\n", "\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}", "HTTP/2 200 OK\r\n\r\n",
      "HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.1 99999999999999999999 OK\r\n\r\n", "HTTP/1.1\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n",
      "\r\n\r\n\r\n\r\n",
    ])
  func malformed(text: String) {
    #expect(throws: HTTPResponse.Malformed.self) { try read(text) }
  }

  @Test(
    "an answer that breaks off is refused when the connection ends",
    arguments: [
      "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
    ])
  func truncated(text: String) throws {
    #expect(try read(text) == nil)
    #expect(throws: HTTPResponse.Malformed.self) { try read(text, ended: true) }
  }

  @Test("a head without end is refused when it is too long")
  func endlessHead() {
    let text = "HTTP/1.1 200 OK\r\n" + String(repeating: "X: y\r\n", count: 20_000)
    #expect(throws: HTTPResponse.Malformed.self) { try read(text) }
  }

  @Test("whether a drain cut leases off is read from either form of its answer")
  func cut() {
    func wasCut(_ body: String) -> Bool { HTTPResponse(status: 200, headers: [:], body: body).wasCut }
    #expect(!wasCut("drained: 3 leases finished, 0 cut off, 2 waiting refused, 10 connections closed"))
    #expect(wasCut("drained: 3 leases finished, 1 cut off, 0 waiting refused, 10 connections closed"))
    #expect(wasCut("drained: 3 leases finished, 20 cut off, 0 waiting refused, 10 connections closed"))
    #expect(!wasCut("{\"drained\":true,\"in_use\":3,\"finished\":3,\"cut\":0,\"refused\":1}"))
    #expect(wasCut("{\"drained\":true,\"in_use\":3,\"finished\":1,\"cut\":2,\"refused\":1}"))
    #expect(!wasCut("draining"))
  }
}
