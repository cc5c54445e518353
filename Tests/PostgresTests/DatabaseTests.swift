import Foundation
import PoolCore
import Support
import Testing

@testable import Postgres

@Suite("what a database URL means") struct DatabaseTests {
  private func database(_ url: String?, role: RequiredRole = .any) throws(SettingsError) -> Database {
    try Database(url: url, applicationName: "warmgate/test", role: role)
  }

  private func complaint(_ url: String?) -> String? {
    do {
      _ = try database(url)
      return nil
    } catch { return error.description }
  }

  @Test("one host of a URI")
  func oneHost() throws {
    let database = try database("postgresql://ann@db.example:6432/app?sslmode=require")
    #expect(database.hosts == [Host(id: HostID(0), name: "db.example", address: nil, port: 6432)])
    #expect(database.hosts[0].label == "db.example:6432")
    #expect(database.user == "ann")
    #expect(database.name == "app")
    #expect(database.options.last { $0.keyword == "sslmode" }?.value == "require")
  }

  @Test("several hosts, with ports, addresses, sockets and defaults")
  func severalHosts() throws {
    let uri = try database("postgresql://a@h1:1111,h2,[::1]:3333/app")
    #expect(uri.hosts.map(\.label) == ["h1:1111", "h2:5432", "[::1]:3333"])
    #expect(uri.hosts.map(\.id.index) == [0, 1, 2])

    let keywords = try database("host=h1,,/run/pg hostaddr=10.0.0.1,10.0.0.2, port=7000 user=a dbname=b")
    #expect(keywords.hosts.map(\.label) == ["h1:7000", "10.0.0.2:7000", "/run/pg/.s.PGSQL.7000"])
    #expect(keywords.hosts.map(\.address) == ["10.0.0.1", "10.0.0.2", nil])
    #expect(keywords.hosts.map(\.isUnixSocket) == [false, false, true])
  }

  @Test("without a host it is libpq's own socket directory")
  func noHost() throws {
    let host = try #require(try database("user=a dbname=b").hosts.first)
    #expect(host.isUnixSocket)
    #expect(host.name.hasPrefix("/"))
  }

  @Test("a required role wins over the URL's, and without one the URL's is in force")
  func roles() throws {
    let url = "postgresql://a@h/b?target_session_attrs=read-write"
    #expect(try database(url).order == .one(attributes: "read-write"))
    #expect(try database(url, role: .primary).order == .one(attributes: "primary"))
    #expect(try database(url, role: .standby).order == .one(attributes: "standby"))
    #expect(try database("postgresql://a@h/b").order == .one(attributes: "any"))
    #expect(try database("user=a target_session_attrs=prefer-standby").order == .preferStandby)
  }

  @Test("connections into the void end, unless the URL says otherwise; the name is always ours")
  func defaults() throws {
    func option(_ keyword: String, _ database: Database) -> [String] {
      database.options.filter { $0.keyword == keyword }.map(\.value)
    }
    let plain = try database("postgresql://a@h/b?connect_timeout=99")
    #expect(option("tcp_user_timeout", plain) == ["10000"])
    #expect(option("keepalives_idle", plain) == ["30"])
    #expect(option("connect_timeout", plain).isEmpty)
    let given = try database(
      "postgresql://a@h/b?tcp_user_timeout=0&keepalives_idle=7&application_name=theirs")
    #expect(option("tcp_user_timeout", given) == ["0"])
    #expect(option("keepalives_idle", given) == ["7"])
    #expect(option("application_name", given) == ["warmgate/test"])
  }

  @Test(
    "a mistake is told in one line",
    arguments: [
      ("app", "neither a URI"), ("", "neither a URI"), ("mysql://a@h/b", "neither a URI"),
      ("postgresql://a@h/b?hots=1", "does not understand"), ("hots=h", "does not understand"),
      ("postgresql://a@h:x/b", "the port is not a number"), ("host=h port=70000", "the port is not a number"),
      ("host=h port=0", "the port is not a number"), ("host=a,b port=1,2,3", "3 port numbers to 2 hosts"),
      ("host=a,b hostaddr=1.1.1.1", "2 host names to 1 hostaddr"),
      ("host=h sslmode=maybe", "invalid sslmode value: \"maybe\""),
      ("host=h target_session_attrs=leader", "target_session_attrs is \"leader\""),
      ("service=no-such-service", "no-such-service"), ("postgresql://[::1/b", "does not understand"),
      ("host='h", "unterminated quoted string"),
    ])
  func mistakes(_ url: String, _ expected: String) throws {
    let said = try #require(complaint(url))
    #expect(said.contains(expected), "\(said)")
    #expect(!said.contains("\n"))
  }

  @Test(
    "no mistake shows a piece of the password",
    arguments: [
      "postgresql://a:top@secret@h/b", "postgresql://a:top/secret@h/b", "postgresql://a:top%zzsecret@h/b",
      "postgresql://a:1/secret@h/b", "postgresql://a:secret@[::1/b", "postgresql://a:se:cret@h:x/b",
      "password=top secret host=h", "password=top secret=h", "password='secret", "secret", "://secret",
      "postgresql://a:secret@h/b?sslmode=maybe", "postgresql://a:secret@h/b?nonsense=secret",
      "host=h password=secret port=x", "postgresql://a:sec?ret@h/b?x",
      "postgresql://a@h/b?password=%zzsecret", "postgresql://a:x?y@secret@h/b", "postgresql://a:secret@top@h",
      "host=h dbname=postgresql://a:secret@h/b", "host=postgresql://a:secret@h/b", "host=a:secret@h",
      "host=h password=\u{301}secret \u{301}=", "postgresql://a:top@\u{301}secret@h/b",
      "host=h keepalives_idle=secret",
    ])
  func secrets(_ url: String) throws {
    let said = try #require(complaint(url))
    #expect(!said.contains("secret") && !said.contains("cret") && !said.contains("top"), "\(said)")
  }

  @Test("describing it shows no password")
  func description() throws {
    let database = try database("postgresql://ann:hunter2@h1,h2/app?sslpassword=hunter2")
    #expect(String(describing: database) == "database app on h1:5432, h2:5432 as ann")
    #expect(!String(reflecting: database).contains("hunter2"))
    var dumped = ""
    dump(database, to: &dumped)
    #expect(!dumped.contains("hunter2"))
  }

  @Test("PG* variables and the service file count, and the URL wins over both")
  func environment() async {
    await #expect(processExitsWith: .success) {
      let directory = try TemporaryDirectory()
      defer { directory.remove() }
      let file = try directory.write(
        "services", "[shop]\nhost=from-service\nport=7777\ndbname=shop\ntarget_session_attrs=read-only\n")
      setenv("PGSERVICEFILE", file, 1)
      setenv("PGHOST", "from-environment", 1)
      setenv("PGUSER", "eve", 1)
      func database(_ url: String?) throws -> Database { try Database(url: url, applicationName: "x") }

      let plain = try database(nil)
      try #require(plain.hosts.map(\.label) == ["from-environment:5432"])
      try #require(plain.user == "eve" && plain.name == "eve")

      let service = try database("service=shop")
      try #require(service.hosts.map(\.label) == ["from-service:7777"])
      try #require(service.name == "shop" && service.order == .one(attributes: "read-only"))

      let mixed = try database("service=shop host=from-url target_session_attrs=any")
      try #require(mixed.hosts.map(\.label) == ["from-url:7777"])
      try #require(mixed.order == .one(attributes: "any"))
    }
  }

  @Test("a password file that cannot be used is a mistake, in words")
  func passwordFile() throws {
    let directory = try TemporaryDirectory()
    defer { directory.remove() }
    func complaint(_ path: String) -> String? {
      do {
        try Database(url: "host=h", passwordFile: path, applicationName: "x").checkPasswordFile()
        return nil
      } catch { return error.description }
    }
    #expect(complaint(directory.file("none"))?.hasSuffix("No such file or directory") == true)
    #expect(complaint(directory.path)?.contains("Is a directory") == true)
    #expect(complaint(try directory.write("empty", ""))?.contains("is empty") == true)
    #expect(complaint(try directory.write("newline", "\nsecret"))?.contains("is empty") == true)
    #expect(
      complaint(try directory.write("long", String(repeating: "x", count: 100_000)))?.contains("too long")
        == true)
    for (name, text) in [("a", "pass word"), ("b", "pass word\n"), ("c", "pass word\r\nmore\n")] {
      #expect(try PasswordFile.read(try directory.write(name, text)) == "pass word")
    }
  }
}
