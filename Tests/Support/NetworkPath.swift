import Foundation
import Synchronization

// A release build with the static standard library has no Testing module; nothing that needs it is built there.
#if canImport(Testing)
  import Testing
#endif

/// Two machines with a router between them, made of three network namespaces, so that packets can be lost *on the
/// way*: dropped on the sender's own output, they look to it like local congestion and distort its timers.
///
/// Needs root. Removed when the object goes, `remove` is called, or the test process dies.
public final class NetworkPath: Sendable {
  /// Names for `ip netns exec`, `TestPostgres`, `ServedProcess` and `HTTPProbe`.
  public let server: String
  public let client: String
  let middle: String

  /// Every path has an address space of its own, so these are the same in all of them.
  public static let serverAddress = "10.77.1.2"
  public static let clientAddress = "10.77.2.2"
  /// Routed over the path to nobody: packets to it vanish.
  public static let blackHole = "10.77.1.99"

  private static let count = Atomic<Int>(0)

  public init() async throws {
    if let reason = Self.unavailable { throw FixtureError(reason) }
    let number = Self.count.add(1, ordering: .relaxed).newValue
    let prefix = "wg\(getpid())-\(number)"
    (server, client, middle) = (prefix + "s", prefix + "c", prefix + "m")
    for name in [server, client, middle] { SafetyNet.shared.add(.namespace(name)) }
    let (server, client, middle) = (server, client, middle)
    try await blocking {
      for name in [server, client, middle] { try runCheckedBlocking(["ip", "netns", "add", name]) }
      for (end, network) in [(server, "10.77.1"), (client, "10.77.2")] {
        let inside = network == "10.77.1" ? "left" : "right"
        try runCheckedBlocking(
          ["ip", "-batch", "-"],
          input: """
            link add eth0 netns \(end) type veth peer name \(inside) netns \(middle)
            """)
        try runCheckedBlocking(
          ["ip", "-n", end, "-batch", "-"],
          input: """
            link set lo up
            address add \(network).2/24 dev eth0
            link set eth0 up
            route add default via \(network).1
            """)
        try runCheckedBlocking(
          ["ip", "-n", middle, "-batch", "-"],
          input: "address add \(network).1/24 dev \(inside)\nlink set \(inside) up\n")
      }
      try runCheckedBlocking(
        [
          "ip", "netns", "exec", middle, "sh", "-c",
          """
          echo 1 >/proc/sys/net/ipv4/ip_forward
          nft 'add table inet chaos; add chain inet chaos way { type filter hook forward priority 0; }'
          # Without an entry of its own, an unused address is answered with "host unreachable" after three seconds.
          ip neighbour add \(Self.blackHole) lladdr 02:00:00:00:00:99 dev left
          """,
        ])
    }
  }

  deinit { remove() }

  /// Drops every packet on the way, in both directions.
  public func drop() async throws { try await addRule("drop") }

  /// Drops the packets to and from one TCP port.
  public func drop(port: Int) async throws {
    try await addRule("tcp dport \(port) drop")
    try await addRule("tcp sport \(port) drop")
  }

  /// Drops a share of all packets at random.
  public func lose(percent: Int) async throws { try await addRule("numgen random mod 100 < \(percent) drop") }

  /// Answers every TCP packet on the way with a reset.
  public func reset() async throws { try await addRule("meta l4proto tcp reject with tcp reset") }

  /// Adds an nftables rule to the router's forward chain.
  public func addRule(_ rule: String) async throws {
    try await runChecked(["ip", "netns", "exec", middle, "nft", "add rule inet chaos way \(rule)"])
  }

  /// The router puts its own address in place of the sender's (NAT), for connections opened from now on. `heal` does
  /// not end that.
  public func masquerade() async throws {
    try await runChecked([
      "ip", "netns", "exec", middle, "nft",
      "add chain inet chaos out { type nat hook postrouting priority 100; }; "
        + "add rule inet chaos out masquerade",
    ])
  }

  /// Lets everything pass again.
  public func heal() async throws {
    try await runChecked(["ip", "netns", "exec", middle, "nft", "flush chain inet chaos way"])
  }

  /// What processes started in the client's namespace from now on see as /etc/hosts.
  public func setClientHosts(_ text: String) throws { try setClientFile("hosts", text) }

  /// What processes started in the client's namespace from now on see as /etc/resolv.conf. `blackHole` makes a
  /// resolver that never answers.
  public func setClientResolver(_ address: String, options: String = "timeout:5 attempts:2") throws {
    try setClientFile("resolv.conf", "nameserver \(address)\noptions \(options)\n")
    try setClientFile("nsswitch.conf", "hosts: files dns\n")
  }

  private func setClientFile(_ name: String, _ text: String) throws {
    // `ip netns exec` mounts what is in /etc/netns/NAME over /etc; in place, so that running processes see it too.
    let directory = "/etc/netns/\(client)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    try text.write(toFile: "\(directory)/\(name)", atomically: false, encoding: .utf8)
  }

  /// Runs `body` on a thread that is in the client's namespace meanwhile: sockets it makes, and threads it starts,
  /// stay there.
  public func inClient<Result>(_ body: () throws -> Result) throws -> Result {
    try inNetworkNamespace(client) { () throws(ProbeError) in Swift.Result { try body() } }.get()
  }

  public func remove() {
    for name in [server, client, middle] where FileManager.default.fileExists(atPath: "/run/netns/\(name)") {
      _ = try? runBlocking(["ip", "netns", "del", name])
      try? FileManager.default.removeItem(atPath: "/etc/netns/\(name)")
      SafetyNet.shared.forget(.namespace(name))
    }
  }

  /// Why namespaces cannot be made here; nil if they can.
  public static let unavailable: String? = {
    guard geteuid() == 0 else { return "network namespaces need root" }
    let name = "wg\(getpid())-probe"
    defer { _ = try? runBlocking(["ip", "netns", "del", name]) }
    do {
      try runCheckedBlocking(["ip", "netns", "add", name])
      try runCheckedBlocking(["ip", "netns", "exec", name, "nft", "add table inet chaos"])
      return nil
    } catch {
      return "network namespaces cannot be made here: \(error)"
    }
  }()
}

#if canImport(Testing)
  extension Trait where Self == ConditionTrait {
    /// Skips a test, by name and with the reason, where network namespaces cannot be made.
    public static var needsNetworkNamespaces: Self {
      .enabled(if: NetworkPath.unavailable == nil, "\(NetworkPath.unavailable ?? "")")
    }

    /// Skips a test, by name, where it does not run as root.
    public static var needsRoot: Self { .enabled(if: geteuid() == 0, "needs root") }
  }
#endif
