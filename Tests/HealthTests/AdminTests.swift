import Foundation
import PoolCore
import Testing

@testable import Health

@Suite("The admin listener")
struct AdminTests {
  @Test("lists its endpoints, and tells everything as JSON")
  func status() throws {
    let fixture = try AdminFixture(.probeFailed)
    let client = try fixture.client()
    let home = try client.ask("GET", "/")
    #expect(home.status == 200)
    #expect(home.body.contains("POST /drain"))
    let response = try client.ask("GET", "/status")
    #expect(response.status == 200)
    #expect(response["Content-Type"] == "application/json")
    #expect(response["Cache-Control"] == "no-store")
    let value = try #require(
      try JSONSerialization.jsonObject(with: Data(response.body.utf8)) as? [String: Any])
    #expect(value["ready"] as? Bool == false)
    #expect(value["version"] as? String == "1.2.3")
    #expect((value["settings"] as? [[String: String]])?.first?["name"] == "min-connections")
    // Operators see what the server said.
    let reason = try #require((value["reasons"] as? [[String: Any]])?.first)
    #expect((reason["detail"] as? String)?.contains(State.hiddenMessage) == true)
    #expect(try client.ask("HEAD", "/status").status == 200)
  }

  @Test("keeps a long timeline and every fault in /status")
  func longStatus() throws {
    let state = State("long", .ready) { snapshot in
      let fault = State.fault(.server(.cannotConnectNow), .session)
      for index in 0..<100 {
        let at = State.now - .seconds(100 - index)
        snapshot.timeline.append(
          Transition(at: at, from: .ready, to: .unready, degraded: false, reasons: [.probeFailed(fault)]))
      }
      for index in 0..<20 {
        snapshot.faults.append(FaultRecord(fault: fault, first: .origin, last: State.now, count: index))
      }
    }
    let fixture = try AdminFixture(state)
    let response = try fixture.client().ask("GET", "/status")
    let value = try #require(
      try JSONSerialization.jsonObject(with: Data(response.body.utf8)) as? [String: Any])
    #expect((value["timeline"] as? [Any])?.count == 100)
    #expect((value["faults"] as? [[String: Any]])?.last?["host"] as? String == State.hiddenHost)
  }

  @Test("drain, resume and quit are POST only", arguments: ["/drain", "/resume", "/quit"])
  func postOnly(path: String) throws {
    let fixture = try AdminFixture()
    let client = try fixture.client()
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
      let response = try client.ask(method, path)
      #expect(response.status == 405)
      #expect(response["Allow"] == "POST")
    }
    #expect(fixture.seen.drains.isEmpty && fixture.seen.resumeCompletions.isEmpty && fixture.seen.quits == 0)
    #expect(fixture.seen.refused.count == 5)
    #expect(
      fixture.seen.refused.first == RefusedControl(path: path, method: "GET", status: 405, reason: "use POST")
    )
    let status = try client.ask("GET", "/status").body
    #expect(status.contains("\"drains_refused\":\(path == "/drain" ? 5 : 0),"))
  }

  @Test("status and the list are not for POST, and unknown paths are 404")
  func otherPaths() throws {
    let fixture = try AdminFixture()
    let client = try fixture.client()
    #expect(try client.ask("POST", "/status").status == 405)
    #expect(try client.ask("POST", "/").status == 405)
    #expect(try client.ask("POST", "/drain/").status == 404)
    #expect(try client.ask("GET", "/ready").status == 404)
    #expect(fixture.seen.refused.isEmpty)
  }

  @Test("a drain blocks until it is done, then tells the counts in a line")
  func drain() throws {
    let fixture = try AdminFixture()
    let client = try fixture.client()
    try client.send("POST /drain?timeout=20s HTTP/1.1\r\nHost: localhost:8087\r\n\r\n")
    try fixture.awaitDrains(1)
    #expect(fixture.seen.drains == [DrainRequest(timeout: .seconds(20), wait: true)])
    // Others are answered meanwhile.
    #expect(try fixture.client().ask("GET", "/status").status == 200)
    fixture.seen.drainCompletions[0](.done(AdminFixture.counts))
    let response = try client.receive()
    #expect(response.status == 200)
    #expect(
      response.body == "drained: 3 leases finished, 0 cut off, 2 waiting refused, 10 connections closed\n")
    #expect(try client.ask("GET", "/").status == 200, "the connection is kept")
  }

  @Test("a drain's counts are JSON for who asks for JSON")
  func drainJSON() throws {
    let fixture = try AdminFixture(answers: .done(AdminFixture.counts))
    let response = try fixture.client().ask("POST", "/drain", headers: ["Accept: application/json"])
    #expect(response["Content-Type"] == "application/json")
    #expect(
      response.body
        == #"{"drained":true,"in_use":3,"finished":3,"cut":0,"refused":2,"closed":10,"took":8.0,"#
        + #""probers_told":0,"probers_not_told":[]}"# + "\n")
  }

  @Test("a drain that was taken back is 409 for who waited, one that was refused 503")
  func notDrained() throws {
    let fixture = try AdminFixture(answers: .takenBack)
    let response = try fixture.client().ask("POST", "/drain")
    #expect(response.status == 409)
    #expect(response.body == "the drain was taken back by a resume\n")
    #expect(fixture.seen.refused.isEmpty)
    let other = try AdminFixture(answers: .refused("not now"))
    #expect(try other.client().ask("POST", "/drain").status == 503)
    #expect(
      other.seen.refused == [RefusedControl(path: "/drain", method: "POST", status: 503, reason: "not now")])
  }

  @Test("?wait=0 is answered once it is known whether the drain has begun")
  func begun() throws {
    let fixture = try AdminFixture(answers: .refused("not now"))
    #expect(try fixture.client().ask("POST", "/drain?wait=0").status == 503)
    #expect(
      fixture.seen.refused == [RefusedControl(path: "/drain", method: "POST", status: 503, reason: "not now")]
    )
  }

  @Test("?wait=0 is answered 202, and the end of the drain changes nothing")
  func noWait() throws {
    let fixture = try AdminFixture()
    let client = try fixture.client()
    #expect(try client.ask("POST", "/drain?wait=0&timeout=250ms").status == 202)
    #expect(fixture.seen.drains == [DrainRequest(timeout: .milliseconds(250), wait: false)])
    let json = try client.ask("POST", "/drain?wait=0&format=json")
    #expect(json.body == "{\"drained\":false,\"draining\":true}\n")
    fixture.seen.drainCompletions[0](.done(AdminFixture.counts))
    #expect(try client.ask("GET", "/").status == 200)
  }

  @Test(
    "a query that is not understood is 400 with a line, and nothing is drained",
    arguments: [
      ("timeout=", #"timeout="" is not a duration"#), ("timeout=20", #"timeout="20" is not a duration"#),
      ("timeout=-1s", "is not a duration"), ("timeout=1.5s", "is not a duration"),
      ("timeout=5S", "is not a duration"),
      ("timeout=99999999999h", "is not a duration"), ("timeout=%0a5s", #"timeout="\n5s" is not a duration"#),
      ("wait=no", #"wait="no" is neither 0 nor 1"#), ("timout=5s", #"unknown parameter "timout""#),
    ])
  func badQuery(query: String, line: String) throws {
    let fixture = try AdminFixture()
    let response = try fixture.client().ask("POST", "/drain?\(query)")
    #expect(response.status == 400)
    #expect(response.body.hasPrefix(line) || response.body.contains(line))
    #expect(response.body.filter { $0 == "\n" }.count == 1)
    #expect(fixture.seen.drains.isEmpty)
    #expect(fixture.seen.refused.map(\.status) == [400])
  }

  @Test("resume is 200, or 409 with the reason")
  func resume() throws {
    let fixture = try AdminFixture()
    #expect(try fixture.client().ask("POST", "/resume").body == "resumed\n")
    let ending = try AdminFixture(resumes: .refused("the process is ending"))
    let response = try ending.client().ask("POST", "/resume")
    #expect(response.status == 409)
    #expect(response.body == "the process is ending\n")
    #expect(ending.seen.refused.map(\.path) == ["/resume"])
  }

  @Test("quit is answered 202 first, and asked for once the answer is out")
  func quit() throws {
    let fixture = try AdminFixture()
    #expect(try fixture.client().ask("POST", "/quit").status == 202)
    try poll("quit") { fixture.seen.quits == 1 }
  }

  @Test("quit happens even if the client does not wait for the answer")
  func quitAlone() throws {
    let fixture = try AdminFixture()
    do { try fixture.client().send("POST /quit HTTP/1.1\r\nHost: localhost\r\n\r\n") }
    try poll("quit") { fixture.seen.quits == 1 }
  }

  // MARK: - Browsers

  @Test(
    "a Host that is neither an IP address nor localhost is refused",
    arguments: [
      ("localhost", true), ("LOCALHOST:8087", true), ("127.0.0.1", true), ("127.0.0.1:8087", true),
      ("10.1.2.3:1", true), ("[::1]", true), ("[::1]:8087", true), ("evil.example", false),
      ("evil.example:8087", false), ("localhost.evil.example", false), ("127.0.0.1.evil.example", false),
      ("127.0.0.1@evil", false), ("[::1]evil", false), ("[evil]", false), ("::1", false), ("", false),
      ("localhost:", true), ("localhost:x", false), ("[127.0.0.1]", false), ("0x7f.1", false),
    ])
  func host(host: String, isFine: Bool) throws {
    let fixture = try AdminFixture()
    let client = try fixture.client()
    #expect(try client.ask("GET", "/status", host: host).status == (isFine ? 200 : 403))
    #expect(try client.ask("POST", "/drain?wait=0", host: host).status == (isFine ? 202 : 403))
    #expect(fixture.seen.drains.count == (isFine ? 1 : 0))
  }

  @Test("no Host is fine for HTTP/1.0, two are not")
  func hostCount() throws {
    let fixture = try AdminFixture()
    #expect(try fixture.client().ask("GET", "/status", version: "HTTP/1.0", host: nil).status == 200)
    let two = try fixture.client().ask("GET", "/status", headers: ["Host: evil.example"])
    #expect(two.status == 403)
  }

  @Test("a request with an Origin, or from another site, is refused")
  func origin() throws {
    let fixture = try AdminFixture()
    let client = try fixture.client()
    for header in [
      "Origin: http://evil.example", "Origin: null", "origin: http://localhost:8087",
      "Sec-Fetch-Site: cross-site",
      "sec-fetch-site: same-site", "Sec-Fetch-Site: ", "Origin:",
    ] {
      #expect(try client.ask("POST", "/drain", headers: [header]).status == 403, "\(header)")
      #expect(try client.ask("GET", "/status", headers: [header]).status == 403, "\(header)")
    }
    #expect(fixture.seen.drains.isEmpty)
    #expect(fixture.seen.refused.count == 7)
    for headers in [
      ["Sec-Fetch-Site: none"], ["Sec-Fetch-Site: same-origin"],
      ["Origin: http://localhost:8087", "Sec-Fetch-Site: same-origin", "X-Warmgate-Page: 1"],
    ] {
      #expect(try client.ask("POST", "/drain?wait=0", headers: headers).status == 202, "\(headers)")
    }
    // A page elsewhere would have to ask first, and gets no yes.
    let preflight = try client.ask(
      "OPTIONS", "/drain",
      headers: ["Origin: http://evil.example", "Access-Control-Request-Headers: x-warmgate-page"])
    #expect(preflight.status == 403)
    #expect(!preflight.headers.contains { $0.name.lowercased().hasPrefix("access-control") })
    #expect(
      try client.ask("POST", "/drain", headers: ["Sec-Fetch-Site: cross-site", "X-Warmgate-Page: 1"]).status
        == 403)
  }

  // MARK: - Token

  @Test("an address that others can reach needs a token file")
  func needsToken() throws {
    for address in ["0.0.0.0:0", "[::]:0", ":0"] {
      let error = #expect(throws: ListenError.self) { try AdminFixture(listen: address) }
      #expect(error?.description.contains("needs --admin-token-file") == true)
      #expect(error?.setting == "admin-listen")
    }
  }

  @Test("a token file that is missing, empty or no file is refused at start")
  func badTokenFile() throws {
    for (file, words) in [("/nonexistent/token", "cannot be read"), ("/tmp", "not a regular file")] {
      let error = #expect(throws: ListenError.self) { try AdminFixture(tokenFile: file) }
      #expect(error?.description.contains(words) == true)
      #expect(error?.setting == "admin-token-file")
    }
    let error = #expect(throws: ListenError.self) { try AdminFixture(token: " \n\t ") }
    #expect(error?.description.contains("is empty") == true)
    #expect(throws: ListenError.self) { try AdminFixture(token: String(repeating: "x", count: 5000)) }
  }

  @Test("everything is 401 without the token, and GET /drain works with it")
  func token() throws {
    let fixture = try AdminFixture(
      listen: "0.0.0.0:0", token: " s3cret-Token\n", answers: .done(AdminFixture.counts))
    let client = try fixture.client()
    for headers in [
      [], ["Authorization: Bearer"], ["Authorization: Bearer "], ["Authorization: Bearer wrong"],
      ["Authorization: Bearer s3cret-Toke"], ["Authorization: Bearer s3cret-Token2"],
      ["Authorization: Bearer s3cret-token"], ["Authorization: s3cret-Token"],
      ["Authorization: Basic s3cret-Token"],
      ["Authorization: Bearer s3cret-Tokens3cret-Token"], ["X-Authorization: Bearer s3cret-Token"],
      ["Authorization: Bearer wrong", "Authorization: Bearer s3cret-Token"],
    ] {
      for (method, path) in [
        ("GET", "/"), ("GET", "/status"), ("GET", "/drain"), ("POST", "/quit"), ("GET", "/x"),
      ] {
        let response = try client.ask(method, path, headers: headers)
        #expect(response.status == 401, "\(headers)")
        #expect(response["WWW-Authenticate"] == "Bearer realm=\"warmgate\"")
        #expect(!response.body.contains("s3cret"))
      }
    }
    #expect(fixture.seen.drains.isEmpty && fixture.seen.quits == 0)
    #expect(fixture.seen.refused.count == 24)
    #expect(!"\(fixture.seen.refused)".contains("s3cret"))
    let good = ["authorization: bearer  s3cret-Token"]
    #expect(try client.ask("GET", "/drain", headers: good).status == 200)
    #expect(try client.ask("POST", "/drain", headers: good).status == 200)
    #expect(try client.ask("GET", "/status", headers: good).status == 200)
    let quit = try client.ask("GET", "/quit", headers: good)
    #expect(quit.status == 405)
    #expect(quit["Allow"] == "POST")
    #expect(try client.ask("PUT", "/drain", headers: good)["Allow"] == "POST, GET")
  }

  @Test("a token that changes is used at once, and an empty or missing file lets nobody in")
  func rotation() throws {
    let fixture = try AdminFixture(listen: "127.0.0.1:0", token: "old")
    let client = try fixture.client()
    func status(_ token: String) throws -> Int {
      try client.ask("GET", "/status", headers: ["Authorization: Bearer \(token)"]).status
    }
    #expect(try status("old") == 200)
    try fixture.write(token: "new")
    #expect(try status("old") == 401)
    #expect(try status("new") == 200)
    try fixture.write(token: "\n")
    #expect(try status("new") == 401)
    #expect(try status("") == 401)
    try FileManager.default.removeItem(atPath: fixture.folder.path + "/token")
    #expect(try status("new") == 401)
    #expect(try client.ask("GET", "/drain", headers: ["Authorization: Bearer new"]).status == 401)
    try fixture.write(token: "again")
    #expect(try status("again") == 200)
  }

  @Test("a loopback address takes no GET /drain, even with a token")
  func loopbackToken() throws {
    let fixture = try AdminFixture(token: "t")
    let response = try fixture.client().ask("GET", "/drain", headers: ["Authorization: Bearer t"])
    #expect(response.status == 405)
  }

  @Test("it works over a Unix socket, by POST")
  func unix() throws {
    let fixture = try AdminFixture(listen: "unix:FOLDER/admin.sock", answers: .done(AdminFixture.counts))
    let client = try fixture.client()
    #expect(try client.ask("POST", "/drain", host: "localhost").status == 200)
    #expect(try client.ask("GET", "/drain", host: "localhost").status == 405)
    #expect(try client.ask("POST", "/drain", host: "evil.example").status == 403)
  }
}
