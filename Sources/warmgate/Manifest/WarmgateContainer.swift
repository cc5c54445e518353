import PoolCore
import YAML

/// A container that runs `warmgate serve`, and the settings that the manifest gives it.
struct WarmgateContainer {
  let container: Container
  private(set) var settings = ServeSettings()
  /// Where each setting is given, by flag.
  private(set) var lines: [String: Int] = [:]
  /// What `serve` would refuse, or warn about.
  private(set) var findings: [Finding] = []
  /// What may hold settings and could not be read, for people.
  private(set) var unread: [String] = []

  /// Nil if the container is not ours. It is if its command is `warmgate serve`, or, without a command of its own, if its
  /// image is called warmgate. `isNamed`: the user says that it is.
  init?(_ container: Container, in manifest: Manifest, namespace: String?, isNamed: Bool) {
    guard isNamed || Self.isWarmgate(container) else { return nil }
    self.container = container
    var environment = ContainerEnvironment(container, manifest, namespace: namespace)
    unread = environment.unread
    if Self.words(container) == nil {
      unread.append("its command on line \(container.line), which is not warmgate serve")
    }
    read(Self.words(container) ?? [], &environment)
  }

  var isNative: Bool { container.role == .nativeSidecar }

  /// Those behind the program's name; a wrapper such as tini may stand before it. Nil if they are not to be seen, as in a
  /// line for a shell.
  private static func words(_ container: Container) -> [Placed<String>]? {
    let all = container.command + container.arguments
    let program = all.indices.dropLast().first { place in
      all[place].value.split(separator: "/").last == "warmgate" && all[place + 1].value == "serve"
    }
    if let program { return Array(all[(program + 1)...]) }
    return container.command.isEmpty ? container.arguments : nil
  }

  private static func isWarmgate(_ container: Container) -> Bool {
    guard let words = words(container) else { return false }
    if container.command.isEmpty, !isWarmgate(image: container.image) {
      return words.count < container.arguments.count
    }
    // Without an argument, the image's own is serve.
    return words.first.map { $0.value == "serve" || $0.value.hasPrefix("-") } ?? true
  }

  /// `registry.example:5000/team/warmgate:1.0@sha256:…`
  private static func isWarmgate(image: String) -> Bool {
    guard let last = image.split(separator: "/").last else { return false }
    return last.prefix { $0 != ":" && $0 != "@" }.contains("warmgate")
  }

  private mutating func read(_ given: [Placed<String>], _ environment: inout ContainerEnvironment) {
    var words = given
    if words.first?.value == "serve" {
      words.removeFirst()
    } else if let first = words.first {
      refuse(first.line, "the first argument is not serve", "it ends at once", "set args: [serve, …]")
    }
    let expanded = words.map { environment.expanding($0.value) }
    let texts = zip(expanded, words).map { $0 ?? $1.value }
    var accepted = texts[...]
    var arguments: Arguments?
    do throws(Arguments.Refused) {
      arguments = try Arguments(reading: accepted, accepting: Command.serve.forms, command: "serve")
    } catch {
      refuse(words[min(error.place, words.count - 1)].line, error.error.description)
      accepted = accepted.prefix(error.place)
      arguments = try? Arguments(reading: accepted, accepting: Command.serve.forms, command: "serve")
    }
    if let operand = arguments?.operands.first {
      refuse(
        words.first { $0.value == operand }?.line ?? container.line, "unexpected argument \(operand.quoted)")
    }
    for setting in SettingsTable.all {
      if let option = arguments?.options.last(where: { $0.name == setting.flag }) {
        let line = words[min(option.place, words.count - 1)].line
        store(expanded[option.place] == nil ? nil : option.value, as: setting, from: .flag, line: line)
      } else {
        readVariable(of: setting, environment)
      }
    }
    checkTogether()
    let texted = environment.entries.compactMapValues { entry in
      if case .text(let text) = entry { text } else { nil }
    }
    for (name, why) in ServeSettings.unknownVariables(in: texted.mapValues(\.value)) {
      findings.append(
        Finding(.setting, .advice, texted[name]?.line ?? container.line, container.name, why))
    }
  }

  /// What is wrong only beside another is not looked for while one alone is wrong.
  private mutating func checkTogether() {
    if findings.isEmpty {
      do throws(UsageError) { try settings.validate() } catch {
        let line = lines.first { error.description.hasPrefix(settings.name(of: $0.key)) }?.value
        refuse(line ?? container.line, error.description)
      }
    }
    // Whatever is counted with has to be possible.
    do throws(SettingsError) { try settings.pool.validate() } catch {
      settings.pool = PoolSettings()
      lines = [:]
    }
  }

  private mutating func readVariable(of setting: Setting, _ environment: ContainerEnvironment) {
    for name in setting.variables {
      switch environment.entries[name] {
      case .text(let text) where !text.value.isEmpty:
        return store(text.value, as: setting, from: .environment(name), line: text.line)
      case .unknown(let source, let line):
        if !setting.isSecret { unread.append("\(name) on line \(line), which comes from \(source)") }
        return
      default: break
      }
    }
  }

  /// Nil: what is given is not known.
  private mutating func store(
    _ text: String?, as setting: Setting, from source: ServeSettings.Source, line: Int
  ) {
    guard let text else {
      if !setting.isSecret {
        unread.append("--\(setting.flag) on line \(line), which has a variable that is not known")
      }
      return
    }
    settings.sources[setting.flag] = source
    lines[setting.flag] = line
    do throws(NotAccepted) { try setting.store(text, &settings) } catch {
      refuse(line, settings.refusal(of: setting.flag, value: text, error.why).description)
    }
  }

  private mutating func refuse(
    _ line: Int, _ what: String, _ why: String = "serve ends with exit code 2", _ set: String? = nil
  ) {
    findings.append(Finding(.setting, .error, line, container.name, what, why: why, set: set))
  }

  /// A setting that the command line of `plan` gives wins. Throws if it does not go with the others.
  mutating func override(with arguments: Arguments) throws(UsageError) {
    for setting in SettingsTable.all {
      guard let text = arguments.value(setting.flag) else { continue }
      settings.sources[setting.flag] = .flag
      lines[setting.flag] = nil
      do throws(NotAccepted) { try setting.store(text, &settings) } catch {
        throw settings.refusal(of: setting.flag, value: text, error.why)
      }
    }
    do throws(SettingsError) { try settings.pool.validate() } catch {
      throw settings.refusal(of: error.setting, error.description)
    }
  }
}
