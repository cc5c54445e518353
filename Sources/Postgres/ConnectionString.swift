import CLibpq
import PoolCore

/// A database URL as libpq understands it: with its defaults, the `PG*` variables and the service file merged in.
///
/// libpq has no call for that. But it merges everything, checks the values in an order that ends with
/// `target_session_attrs`, and only then touches the network. So it is asked to start a connection with a value there
/// that it has to refuse, and the merged options are read from what it gave up on.
struct ConnectionString {
  private static let refused = "warmgate-asks"
  private static let setting = "database-url"

  private let options: [Database.Option]
  private let defaultSocketDirectory: String

  init(_ url: String?) throws(SettingsError) {
    if let url { try Self.checkSyntax(url) }
    var options = try Self.merged(url, refusing: "target_session_attrs")
    // The one value that the first pass has hidden.
    let others = try Self.merged(url, refusing: "channel_binding")
    options += others.filter { $0.keyword == "target_session_attrs" }
    self.options = options
    defaultSocketDirectory = Self.defaultSocketDirectory()
    try checkNumbers()
    try checkNames()
  }

  /// Nil if nobody has set it, or to nothing.
  subscript(keyword: String) -> String? { options.last { $0.keyword == keyword }?.value }

  /// All but what concerns one host, and what Warmgate does itself.
  var optionsForEveryHost: [Database.Option] {
    let ours: Set = [
      "host", "hostaddr", "port", "target_session_attrs", "connect_timeout", "application_name",
      "fallback_application_name", "service", "load_balance_hosts",
    ]
    return options.filter { !ours.contains($0.keyword) }
  }

  /// The lists taken apart as libpq does (PostgreSQL manual, 34.1.1.3 "Specifying Multiple Hosts"); that their
  /// lengths fit together, libpq has checked.
  func hosts() throws(SettingsError) -> [Host] {
    let names = list("host")
    let addresses = list("hostaddr")
    let ports = list("port")
    var hosts: [Host] = []
    for index in 0..<max(names.count, addresses.count, 1) {
      let address = addresses.at(index).nonEmpty
      var name = names.at(index) ?? ""
      if name.isEmpty, address == nil { name = defaultSocketDirectory }
      let port = (ports.count == 1 ? ports.at(0) : ports.at(index)).nonEmpty ?? "5432"
      guard let port = Int(port), (1...65535).contains(port) else {
        // Not shown: where a password with a raw '/' was cut in two, this is its first half.
        throw SettingsError(
          Self.setting,
          "the port is not a number from 1 to 65535 (in a URI, write '/', ':', '@' and '%' of a password as %2F, "
            + "%3A, %40 and %25)")
      }
      hosts.append(Host(id: HostID(index), name: name, address: address, port: port))
    }
    return hosts
  }

  func hostOrder() throws(SettingsError) -> HostOrder {
    switch self["target_session_attrs"] ?? "any" {
    case "prefer-standby": return .preferStandby
    case let known where ["any", "read-write", "read-only", "primary", "standby"].contains(known):
      return .one(attributes: known)
    case let unknown:
      throw SettingsError(
        Self.setting,
        "target_session_attrs is \"\(unknown)\"; accepted are any, read-write, read-only, primary, standby, "
          + "prefer-standby")
    }
  }

  /// libpq looks at these only once it is connected, and then fails every login. The value is not shown, as in every
  /// error here.
  private func checkNumbers() throws(SettingsError) {
    let keywords = [
      "connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
      "tcp_user_timeout",
    ]
    for keyword in keywords {
      guard let value = self[keyword], Int32(value.trimmed) == nil else { continue }
      throw SettingsError(Self.setting, "\(keyword) must be a whole number")
    }
  }

  /// A whole URI where only a name belongs (`PGDATABASE`, `dbname=`, `host=`) would be taken for that name, and shown
  /// with its password by errors of the resolver and the server.
  private func checkNames() throws(SettingsError) {
    if self["dbname"]?.contains("://") == true {
      throw SettingsError(Self.setting, "dbname holds a whole URI; give that alone, without other keywords")
    }
    // A socket of the abstract namespace begins with '@'.
    if list("host").contains(where: { $0.contains("://") || $0.dropFirst().contains("@") }) {
      throw SettingsError(
        Self.setting, "host holds more than a host name; give a URI alone, without other keywords")
    }
  }

  private func list(_ keyword: String) -> [String] {
    guard let value = self[keyword] else { return [] }
    return value.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
  }

  // MARK: - Asking libpq

  /// libpq quotes the text where its understanding ends, and that can be a piece of a password: of its sentence
  /// only what is outside the quotes is shown, unless it is the name of an option that cannot be a password.
  private static func checkSyntax(_ url: String) throws(SettingsError) {
    let isURI = url.hasPrefix("postgresql://") || url.hasPrefix("postgres://")
    guard isURI || url.utf8.contains(UInt8(ascii: "=")) else {
      throw SettingsError(
        setting, "neither a URI (postgresql://user@host/database) nor keywords (host=… dbname=…)")
    }
    if url.utf8.contains(0) { throw SettingsError(setting, "it holds a zero byte") }
    if isURI {
      // libpq would take "p@ss@host" for the host "ss@host", look its name up and show it in errors. To it, the part
      // before the first '@' ends only at a '/'. Scalars, because to a Character an accent behind an '@' would be part
      // of it.
      let rest = url.unicodeScalars.drop { $0 != ":" }.dropFirst(3)
      let authority = rest.prefix { $0 != "/" }
      let hosts = authority.firstIndex(of: "@").map { rest[$0...].dropFirst() } ?? rest
      if hosts.prefix(while: { $0 != "?" }).contains("@") {
        throw SettingsError(
          setting,
          "an '@' or '/' of the user or password must be written as %40 or %2F, there is one too many")
      }
    }
    var complaint: UnsafeMutablePointer<CChar>?
    if let parsed = PQconninfoParse(url, &complaint) { return PQconninfoFree(parsed) }
    defer { PQfreemem(complaint) }
    let text = complaint.map { String(cString: $0) } ?? "out of memory"
    throw SettingsError(setting, "libpq does not understand it: \(withoutQuotations(text))")
  }

  /// Everything from the first quotation mark to the last replaced by an ellipsis, in one line.
  static func withoutQuotations(_ text: String) -> String {
    let line = oneLine(text)
    let scalars = line.unicodeScalars
    guard let first = scalars.firstIndex(of: "\""), let last = scalars.lastIndex(of: "\""), first < last
    else {
      return line
    }
    return String(Substring(scalars[...first])) + "…" + String(Substring(scalars[last...]))
  }

  /// All options that have a value, but for `refusing`, which is what stops libpq from connecting.
  private static func merged(_ url: String?, refusing: String) throws(SettingsError) -> [Database.Option] {
    let options = [
      Database.Option(keyword: "dbname", value: url ?? ""), .init(keyword: refusing, value: refused),
    ]
    guard let connection = Session.start(options, expandingDatabaseName: true) else {
      throw SettingsError(setting, "out of memory")
    }
    defer { PQfinish(connection) }
    let complaint = oneLine(String(cString: PQerrorMessage(connection)))
    guard complaint.contains(refused), let merged = PQconninfo(connection) else {
      throw SettingsError(setting, complaint)
    }
    defer { PQconninfoFree(merged) }
    var result: [Database.Option] = []
    var option = merged
    while let keyword = option.pointee.keyword {
      if let value = option.pointee.val, value.pointee != 0, String(cString: keyword) != refusing {
        result.append(.init(keyword: String(cString: keyword), value: String(cString: value)))
      }
      option += 1
    }
    return result
  }

  /// Where libpq was built to look for Unix sockets: what an empty entry of a list of hosts stands for.
  private static func defaultSocketDirectory() -> String {
    let options = [
      Database.Option(keyword: "host", value: ","), .init(keyword: "port", value: "5432"),
      .init(keyword: "target_session_attrs", value: refused),
    ]
    guard let connection = Session.start(options, expandingDatabaseName: true) else { return "/tmp" }
    defer { PQfinish(connection) }
    return PQhost(connection).map { String(cString: $0) }.nonEmpty ?? "/tmp"
  }
}

extension String {
  fileprivate var trimmed: Substring {
    var text = self[...].drop { $0.isWhitespace }
    while text.last?.isWhitespace == true { text.removeLast() }
    return text
  }
}

extension Array {
  /// Nil beyond the end.
  fileprivate func at(_ index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}

extension String? {
  fileprivate var nonEmpty: String? { self?.isEmpty == false ? self : nil }
}
