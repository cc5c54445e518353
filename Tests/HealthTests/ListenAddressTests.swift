import Foundation
import PoolCore
import Testing

@testable import Health

@Suite("Listen addresses")
struct ListenAddressTests {
  @Test(
    "are read and written",
    arguments: [
      ("127.0.0.1:8087", "127.0.0.1:8087", true), ("127.3.2.1:1", "127.3.2.1:1", true),
      ("0.0.0.0:8086", "0.0.0.0:8086", false), ("[::]:8086", "[::]:8086", false),
      ("[::1]:8087", "[::1]:8087", true),
      ("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1", true),
      ("[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.1]:1", false),
      ("[fe80::1]:65535", "[fe80::1]:65535", false), (":8086", ":8086", false), ("*:8086", ":8086", false),
      ("localhost:0", "127.0.0.1:0", true), ("10.1.2.3:80", "10.1.2.3:80", false),
      ("unix:/run/warmgate.sock", "unix:/run/warmgate.sock", false),
    ])
  func good(text: String, written: String, isLoopback: Bool) throws {
    let address = try ListenAddress(parsing: text)
    #expect(address.description == written)
    #expect(address.isLoopback == isLoopback)
    #expect(address.isUnix == text.hasPrefix("unix:"))
  }

  @Test(
    "that are none are refused in one line that quotes them",
    arguments: [
      "", "8086", "127.0.0.1", "[::1]", "::1:8086", "::1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
      "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1", "127.0.0.1:٣", "127.0.0:80", "example.com:80",
      "[127.0.0.1]:80",
      "[::1:80", "[fe80::1%eth0]:80", "unix:", "unix:relative", "unix:/dir/", "http://127.0.0.1:80", "[]:1",
      "unix:/" + String(repeating: "x", count: 107),
    ])
  func bad(text: String) throws {
    let error = #expect(throws: ListenAddress.Invalid.self) { try ListenAddress(parsing: text) }
    let line = try #require(error?.description)
    #expect(line.contains("\"\(text)\""))
    #expect(!line.contains("\n"))
  }
}

@Suite("Listening")
struct ListeningTests {
  private func start(_ addresses: String...) throws -> HealthServer {
    try HealthServer(
      listen: addresses.map { try ListenAddress(parsing: $0) }, probeInterval: .seconds(5), version: "test",
      observe: { State.ready.observation })
  }

  @Test("a port in use is one line with the flag, the address and what to do, without trying another family")
  func inUse() throws {
    let first = try start("[::]:0")
    defer { first.stop() }
    let port = try #require(first.address.port)
    let error = #expect(throws: ListenError.self) { try start("[::]:\(port)", "0.0.0.0:\(port)") }
    #expect(
      error?.description == "--listen [::]:\(port): port \(port) is in use by another process; "
        + "stop that one or choose another port")
    #expect(error?.setting == "listen")
    #expect(throws: ListenError.self) { try start(":\(port)") }
  }

  @Test("the next address is used where the machine lacks the one before")
  func fallback() throws {
    // 2001:db8::/32 is for documentation: no machine has it.
    let server = try start("[2001:db8::1]:0", "127.0.0.1:0")
    defer { server.stop() }
    #expect(server.address.isLoopback)
    let error = #expect(throws: ListenError.self) { try start("[2001:db8::1]:0") }
    #expect(error?.description == "--listen [2001:db8::1]:0: this machine does not have that address")
  }

  @Test("a stopped listener frees its port at once, and its connections end")
  func stop() throws {
    let first = try start("127.0.0.1:0")
    let client = try RawClient(first.address)
    #expect(try client.ask("GET", "/ready").status == 200)
    first.stop()
    first.stop()
    #expect(try client.isEnded())
    let second = try start(first.address.description)
    #expect(try RawClient(second.address).ask("GET", "/ready").status == 200)
    second.stop()
  }

  @Test("a listener that is let go of stops by itself")
  func release() throws {
    let address: ListenAddress
    do {
      let server = try start("127.0.0.1:0")
      address = server.address
      #expect(try RawClient(address).ask("GET", "/ready").status == 200)
    }
    #expect(throws: RawClient.Broken.self) { try RawClient(address) }
  }

  @Test("fifty listeners come and go without leaving a thread behind")
  func leaks() throws {
    func threads() throws -> Int {
      // Threads of other tests may end while we look.
      try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count {
        (try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8)) == "wg-leaks\n"
      }
    }
    for _ in 0..<50 {
      let socket = try ListenSocket(ListenAddress(parsing: "127.0.0.1:0"))
      let daemon = try Daemon(
        socket: socket, name: "wg-leaks", limits: .admin(), requests: RequestCounts(),
        handler: HealthRoutes(probeInterval: .seconds(1), metrics: .unversioned) { State.ready.observation })
      #expect(try RawClient(daemon.address).ask("GET", "/ready").status == 200)
      daemon.stop()
    }
    #expect(try threads() == 0)
  }
}

@Suite("Unix sockets")
struct UnixSocketTests {
  private func withPath(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "wg-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder.path + "/admin.sock")
  }

  private func listen(_ path: String) throws -> HealthServer {
    try HealthServer(
      listen: [ListenAddress(parsing: "unix:" + path)], probeInterval: .seconds(5), version: "test",
      observe: { State.ready.observation })
  }

  private func mode(_ path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return try #require(attributes[.posixPermissions] as? Int)
  }

  @Test("are 0600 from the moment they exist, whatever the umask")
  func permissions() throws {
    try withPath { path in
      // Bound and not yet listening: the file has its final mode already.
      let socket = try ListenSocket(ListenAddress(parsing: "unix:" + path))
      #expect(try mode(path) == 0o600)
      socket.close()
      #expect(!FileManager.default.fileExists(atPath: path))
    }
  }

  @Test("answer, and are removed when the listener stops")
  func lifecycle() throws {
    try withPath { path in
      let server = try listen(path)
      #expect(try RawClient(server.address).ask("GET", "/ready").body == "ready\n")
      #expect(server.address.description == "unix:" + path)
      server.stop()
      #expect(!FileManager.default.fileExists(atPath: path))
    }
  }

  @Test("that nobody answers on are replaced")
  func stale() throws {
    try withPath { path in
      let socket = try ListenSocket(ListenAddress(parsing: "unix:" + path))
      close(socket.descriptor)
      #expect(FileManager.default.fileExists(atPath: path))
      let server = try listen(path)
      #expect(try RawClient(server.address).ask("GET", "/ready").status == 200)
      server.stop()
    }
  }

  @Test("that somebody answers on are left alone")
  func inUse() throws {
    try withPath { path in
      let first = try listen(path)
      let error = #expect(throws: ListenError.self) { try listen(path) }
      #expect(
        error?.description == "--listen unix:\(path): another process answers on this socket; "
          + "stop that one or choose another path")
      #expect(try RawClient(first.address).ask("GET", "/ready").status == 200)
      first.stop()
    }
  }

  @Test("never replace another kind of file")
  func otherFile() throws {
    try withPath { path in
      try "precious".write(toFile: path, atomically: true, encoding: .utf8)
      let error = #expect(throws: ListenError.self) { try listen(path) }
      #expect(error?.description.contains("is not a socket") == true)
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
      let missing = #expect(throws: ListenError.self) { try listen(path + ".d/x") }
      #expect(missing?.description.contains("the directory does not exist") == true)
    }
  }

  @Test("of another listener at the same path are not removed by ours")
  func replaced() throws {
    try withPath { path in
      let first = try listen(path)
      unlink(path)
      let second = try listen(path)
      first.stop()
      #expect(try RawClient(second.address).ask("GET", "/ready").status == 200)
      second.stop()
    }
  }
}
