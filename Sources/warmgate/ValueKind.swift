import Health
import PoolCore

/// How a setting's text is read, written and called in help.
struct ValueKind<Value: Sendable>: Sendable {
  /// Stands for the value in help: `DURATION`.
  let placeholder: String
  let read: @Sendable (String) throws(NotAccepted) -> Value
  let write: @Sendable (Value) -> String
}

/// Why a value is not accepted: what would be, as an imperative.
struct NotAccepted: Error, Hashable, Sendable {
  let why: String
}

extension ValueKind<Duration> {
  static let duration = ValueKind(placeholder: "DURATION") { text throws(NotAccepted) in
    // As in Go and Kubernetes, zero needs no unit.
    guard let duration = text == "0" ? .zero : Duration(text: text) else {
      throw NotAccepted(why: "give a whole number and a unit, such as 250ms, 5s, 2m or 1h")
    }
    guard duration <= .longestSetting else { throw NotAccepted(why: "give at most 8760h, a year") }
    return duration
  } write: {
    $0.settingText
  }
}

extension ValueKind<Int> {
  static let count = ValueKind(placeholder: "NUMBER") { text throws(NotAccepted) in
    // Int() alone would take "+5".
    guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text) else {
      throw NotAccepted(why: "give a whole number that is not negative")
    }
    return number
  } write: {
    String($0)
  }
}

extension ValueKind<Bool> {
  /// Given alone, or as `--flag=false`.
  static let `switch` = ValueKind(placeholder: "") { text throws(NotAccepted) in
    switch text {
    case "true": return true
    case "false": return false
    default: throw NotAccepted(why: "give true or false")
    }
  } write: {
    String($0)
  }
}

extension ValueKind<String> {
  static func text(_ placeholder: String) -> ValueKind {
    ValueKind(placeholder: placeholder) { text throws(NotAccepted) in
      text
    } write: {
      $0
    }
  }

  static func nonEmpty(_ placeholder: String, _ what: String) -> ValueKind {
    ValueKind(placeholder: placeholder) { text throws(NotAccepted) in
      if text.allSatisfy(\.isWhitespace) { throw NotAccepted(why: "give \(what)") }
      return text
    } write: {
      $0
    }
  }

  static let file = nonEmpty("FILE", "the path of a file")
}

extension ValueKind<ListenAddress> {
  static let address = ValueKind(placeholder: "ADDRESS") { text throws(NotAccepted) in
    do throws(ListenAddress.Invalid) {
      return try ListenAddress(parsing: text)
    } catch {
      throw NotAccepted(why: error.reason(about: text))
    }
  } write: {
    $0.description
  }
}

extension ListenAddress.Invalid {
  /// Without the text itself, which the error line shows anyway, and shows with passwords hidden.
  func reason(about text: String) -> String {
    let quoted = "\"\(text)\""
    guard description.hasPrefix(quoted) else { return hidingPasswords(in: description).escapingControls }
    let rest = description.dropFirst(quoted.count).drop { $0 == ":" || $0 == " " }
    return hidingPasswords(in: String(rest)).escapingControls
  }
}

extension ValueKind<LostPolicy> {
  static let lostPolicy = ValueKind(placeholder: "unready|hold=DURATION|stay") { text throws(NotAccepted) in
    switch text {
    case "unready": return .unready
    case "stay": return .stay
    case _ where text.hasPrefix("hold="):
      do throws(NotAccepted) {
        return .hold(try ValueKind<Duration>.duration.read(String(text.dropFirst(5))))
      } catch {
        throw NotAccepted(why: "after hold=, \(error.why)")
      }
    default:
      throw NotAccepted(why: "give unready, hold=DURATION such as hold=30s, or stay")
    }
  } write: {
    switch $0 {
    case .unready: "unready"
    case .hold(let duration): "hold=\(duration.settingText)"
    case .stay: "stay"
    }
  }
}

extension ValueKind where Value: RawRepresentable<String> & CaseIterable {
  /// One of the words of an enumeration.
  static var choice: ValueKind {
    let words = Value.allCases.map(\.rawValue)
    return ValueKind(placeholder: words.joined(separator: "|")) { text throws(NotAccepted) in
      if let value = Value(rawValue: text) { return value }
      let list = words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "")
      let meant = nearest(to: text.lowercased(), among: words).map { "; did you mean \($0)?" } ?? ""
      throw NotAccepted(why: "give \(list)\(meant)")
    } write: {
      $0.rawValue
    }
  }
}

extension Duration {
  /// A guard against a slip of the hand, and against arithmetic on absurd times.
  static let longestSetting: Duration = .seconds(8760 * 3600)

  /// The shortest text that a setting reads back as the same duration: `90s`, `2m`, `250ms`.
  var settingText: String {
    let milliseconds = inNanoseconds / 1_000_000
    if milliseconds == 0 { return "0s" }
    for (unit, size) in [("h", Int64(3_600_000)), ("m", 60_000), ("s", 1000)] where milliseconds % size == 0 {
      return "\(milliseconds / size)\(unit)"
    }
    return "\(milliseconds)ms"
  }
}
