import YAML

/// What the manifest says of a container's variables. A Secret's content is not in there, nor what only a running pod
/// knows.
struct ContainerEnvironment {
  enum Entry: Hashable {
    case text(Placed<String>)
    /// Why it is not known: where its value comes from.
    case unknown(String, line: Int)
  }

  private(set) var entries: [String: Entry] = [:]
  /// Whole sources that are not in the manifest, for people.
  private(set) var unread: [String] = []

  init(_ container: Container, _ manifest: Manifest, namespace: String?) {
    func map(_ name: String) -> ConfigMap? { manifest.configMaps[ObjectKey(name, namespace)] }
    for source in container.envFrom {
      guard let name = source.configMap else {
        unread.append("the Secret of envFrom on line \(source.line)")
        continue
      }
      guard let map = map(name) else {
        unread.append(
          "the ConfigMap \(name.quoted) of envFrom on line \(source.line), which is not in the manifest")
        continue
      }
      for (key, value) in map.data { entries[source.prefix + key] = .text(value) }
    }
    for variable in container.env {
      switch variable.value {
      case .text(let text):
        entries[variable.name] =
          expanding(text).map { .text(Placed($0, variable.line)) }
          ?? .unknown("a variable that is not known", line: variable.line)
      case .configMap(let name, let key):
        entries[variable.name] =
          map(name)?.data[key].map { .text(Placed($0.value, variable.line)) }
          ?? .unknown(
            "the ConfigMap \(name.quoted), which does not have it in this manifest", line: variable.line)
      case .elsewhere(let source): entries[variable.name] = .unknown(source, line: variable.line)
      }
    }
  }

  /// `text` with `$(NAME)` replaced as Kubernetes does: `$$` is a `$`, and a name that nobody defines stays. Nil if the
  /// value of one is not known.
  mutating func expanding(_ text: String) -> String? {
    guard text.utf8.contains(UInt8(ascii: "$")) else { return text }
    var result = ""
    var rest = text[...]
    while let dollar = rest.firstIndex(of: "$") {
      result += rest[..<dollar]
      rest = rest[dollar...].dropFirst()
      if rest.first == "$" {
        result += "$"
        rest.removeFirst()
      } else if rest.first == "(", let end = rest.firstIndex(of: ")") {
        let name = String(rest[..<end].dropFirst())
        switch entries[name] {
        case .text(let value): result += value.value
        case .unknown: return nil
        case nil: result += "$(\(name))"
        }
        rest = rest[end...].dropFirst()
      } else {
        result += "$"
      }
      if result.utf8.count > left { return nil }
    }
    result += rest
    left -= result.utf8.count
    return left < 0 ? nil : result
  }

  /// Variables made of variables could double with each line. The kernel takes no more than this in all (ARG_MAX).
  private var left = 2 << 20
}
