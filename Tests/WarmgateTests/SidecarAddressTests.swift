import Health
import Testing

@testable import warmgate

@Suite struct SidecarAddressTests {
  @Test(
    "a URL names host, port and a prefix of paths",
    arguments: [
      ("http://127.0.0.1:8086", SidecarAddress.Kind.tcp(hosts: ["127.0.0.1"], port: 8086), "/ready"),
      ("http://127.0.0.1:8086/", .tcp(hosts: ["127.0.0.1"], port: 8086), "/ready"),
      ("http://gate", .tcp(hosts: ["gate"], port: 80), "/ready"),
      ("http://[::1]:8086/a/b//", .tcp(hosts: ["::1"], port: 8086), "/a/b/ready"),
      ("http://gate:1/ready?x=y", .tcp(hosts: ["gate"], port: 1), "/ready"),
      ("http://gate:1/gate/ready", .tcp(hosts: ["gate"], port: 1), "/gate/ready"),
      ("unix:/run/admin.sock", .unix(path: "/run/admin.sock"), "/ready"),
    ])
  func urls(url: String, kind: SidecarAddress.Kind, target: String) throws {
    let address = try SidecarAddress(url: url)
    #expect(address.kind == kind)
    #expect(address.target("/ready") == target)
  }

  @Test(
    "what is no such URL is refused in one line without a password",
    arguments: [
      "", "127.0.0.1:8086", "https://gate", "http://", "http://:8086", "http://gate:0", "http://gate:70000",
      "http://gate:x", "http://::1:8086", "http://app:s3cret@gate:8086", "postgres://app:s3cret@db",
      "unix:relative", "http://ga te", "http://gate/\r\nX: y", "http://gate\r\nX:1/", "http://[::1]x:1",
    ])
  func badURLs(url: String) {
    #expect {
      try SidecarAddress(url: url)
    } throws: { error in
      let line = "\(error)"
      return line.hasPrefix("--url \"") && !line.contains("s3cret") && !line.contains("\n")
    }
  }

  @Test(
    "a wildcard listener is asked on loopback",
    arguments: [
      (":8086", ["127.0.0.1", "::1"]), ("[::]:8086", ["127.0.0.1", "::1"]), ("0.0.0.0:8086", ["127.0.0.1"]),
      ("[::1]:8086", ["::1"]), ("10.1.2.3:8086", ["10.1.2.3"]), ("localhost:8086", ["127.0.0.1"]),
    ])
  func wildcards(listen: String, hosts: [String]) throws {
    let address = SidecarAddress(try ListenAddress(parsing: listen))
    #expect(address.kind == .tcp(hosts: hosts, port: 8086))
    #expect(address.text == (hosts[0].contains(":") ? "[\(hosts[0])]:8086" : "\(hosts[0]):8086"))
  }

  @Test("without --url the variable of the listener counts, then its default")
  func defaults() throws {
    let none = try Arguments([], accepting: [], command: "probe")
    func find(_ listener: SidecarAddress.Listener, _ environment: [String: String]) throws -> String {
      try SidecarAddress.find(listener, arguments: none, environment: environment).text
    }
    #expect(try find(.health, [:]) == "127.0.0.1:8086")
    #expect(try find(.admin, [:]) == "127.0.0.1:8087")
    #expect(try find(.health, ["WARMGATE_LISTEN": "[::]:9000"]) == "127.0.0.1:9000")
    #expect(try find(.admin, ["WARMGATE_ADMIN_LISTEN": "unix:/run/a.sock"]) == "unix:/run/a.sock")
    #expect(
      throws: UsageError("WARMGATE_LISTEN \"x\": has no port; write it as 127.0.0.1:8086 or [::1]:8086")
    ) {
      try find(.health, ["WARMGATE_LISTEN": "x"])
    }
  }
}
