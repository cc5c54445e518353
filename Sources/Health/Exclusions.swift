import PoolCore

/// `?exclude=NAME`, as often as wanted: checks that are left out of the verdict.
struct Exclusions: Hashable, Sendable {
  /// What is left out.
  var names: Set<Verdict.Check.Name> = []
  /// Known, but never left out.
  private var refused: [String] = []
  private var unknown: [String] = []

  /// Names beyond the first few, and the rest of a long one, come from somebody who tries things.
  private static let most = 8
  private static let longest = 40

  init(_ query: [Request.Field] = []) {
    for field in query where field.name == "exclude" {
      guard let name = Verdict.Check.Name(rawValue: field.value) else {
        if unknown.count < Self.most { unknown.append(String(field.value.prefix(Self.longest))) }
        continue
      }
      if name.canBeExcluded {
        names.insert(name)
      } else if !refused.contains(name.rawValue) {
        refused.append(name.rawValue)
      }
    }
  }

  /// In the words of Kubernetes' API server.
  var warnings: [String] {
    let prefix = "warn: some health checks cannot be excluded: "
    var warnings: [String] = []
    if !unknown.isEmpty { warnings.append(prefix + "no matches for " + Self.list(unknown)) }
    if !refused.isEmpty { warnings.append(prefix + Self.list(refused) + " always in force") }
    return warnings
  }

  /// Quoted and escaped, so that what a client sent stays on one line.
  private static func list(_ names: [String]) -> String {
    names.map { JSON.string($0).text }.joined(separator: ",")
  }
}
