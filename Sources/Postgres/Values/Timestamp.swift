/// A `timestamptz`, or a `timestamp` taken as UTC: a moment to the microsecond, as PostgreSQL keeps it. Without
/// Foundation; `secondsSince1970` leads to `Date` and back.
public struct Timestamp: Hashable, Comparable, Sendable {
  /// Since midnight UTC of 1 January 1970. The two ends of the range are `infinity` and its opposite.
  public let microsecondsSince1970: Int64

  /// The moment that many microseconds after, or before, the epoch.
  public init(microsecondsSince1970: Int64) { self.microsecondsSince1970 = microsecondsSince1970 }

  /// To the nearest microsecond; what lies beyond the range, and not-a-number, is one of the infinities.
  public init(secondsSince1970 seconds: Double) {
    let microseconds = (seconds * 1e6).rounded()
    if let exact = Int64(exactly: microseconds) {
      self.init(microsecondsSince1970: exact)
    } else {
      self = microseconds < 0 ? .negativeInfinity : .infinity
    }
  }

  /// PostgreSQL's `infinity`: later than every other.
  public static let infinity = Timestamp(microsecondsSince1970: .max)
  /// PostgreSQL's `-infinity`: earlier than every other.
  public static let negativeInfinity = Timestamp(microsecondsSince1970: .min)

  /// Whether it is one of the two infinities.
  public var isInfinite: Bool { self == .infinity || self == .negativeInfinity }

  /// To about a microsecond for times of this age; infinite for the infinities.
  public var secondsSince1970: Double {
    switch self {
    case .infinity: .infinity
    case .negativeInfinity: -.infinity
    default: Double(microsecondsSince1970) / 1e6
    }
  }

  public static func < (a: Timestamp, b: Timestamp) -> Bool {
    a.microsecondsSince1970 < b.microsecondsSince1970
  }
}

// MARK: - As text

extension Timestamp: LosslessStringConvertible {
  private static let perDay: Int64 = 86_400_000_000

  /// As PostgreSQL's ISO style writes it, in UTC: `2026-11-21 06:30:00.5+00`, `0044-03-15 12:00:00+00 BC`.
  public var description: String {
    switch self {
    case .infinity: return "infinity"
    case .negativeInfinity: return "-infinity"
    default: break
    }
    func padded(_ number: Int64, _ width: Int) -> String {
      let text = String(number)
      return String(repeating: "0", count: max(0, width - text.count)) + text
    }
    let days = microsecondsSince1970.flooredQuotient(by: Self.perDay)
    let time = microsecondsSince1970 - days * Self.perDay
    let (year, month, day) = Self.date(ofDay: days)
    var text = "\(padded(year > 0 ? year : 1 - year, 4))-\(padded(month, 2))-\(padded(day, 2)) "
    text += "\(padded(time / 3_600_000_000, 2)):\(padded(time / 60_000_000 % 60, 2)):"
    text += padded(time / 1_000_000 % 60, 2)
    if case let fraction = time % 1_000_000, fraction > 0 {
      var digits = padded(fraction, 6)
      while digits.last == "0" { digits.removeLast() }
      text += "." + digits
    }
    return text + "+00" + (year > 0 ? "" : " BC")
  }

  public init?(_ description: String) {
    var copy = description
    let parsed = copy.withUTF8 { Timestamp(postgresText: $0) }
    guard let parsed else { return nil }
    self = parsed
  }

  /// Days since 1970-01-01 of a date in the Gregorian calendar, extended to all years; year 0 is 1 BC. Counted in
  /// eras of 400 years, which all have the same length, from years that begin in March.
  private static func day(year: Int64, month: Int64, day: Int64) -> Int64 {
    let year = month <= 2 ? year - 1 : year
    let era = year.flooredQuotient(by: 400)
    let yearOfEra = year - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }

  private static func date(ofDay day: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let shifted = day + 719_468
    let era = shifted.flooredQuotient(by: 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9)
    return (
      yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    )
  }
}

extension Timestamp: ColumnDecodable {
  /// Of timestamptz, timestamp and date, in the `ISO` date style, which is the server's default.
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) {
    switch String(decoding: text, as: UTF8.self) {
    case "infinity": self = .infinity
    case "-infinity": self = .negativeInfinity
    default:
      var scanner = Scanner(rest: text[...])
      guard let parsed = scanner.timestamp() else { return nil }
      self = parsed
    }
  }

  private struct Scanner {
    var rest: Slice<UnsafeBufferPointer<UInt8>>

    /// At least one digit, and few enough for any number that makes sense.
    mutating func number() -> Int64? {
      var value: Int64 = 0
      var count = 0
      while let byte = rest.first, (0x30...0x39).contains(byte) {
        guard count < 9 else { return nil }
        value = value * 10 + Int64(byte - 0x30)
        count += 1
        rest.removeFirst()
      }
      return count > 0 ? value : nil
    }

    mutating func number(in range: ClosedRange<Int64>) -> Int64? {
      number().flatMap { range.contains($0) ? $0 : nil }
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
      guard rest.first == UInt8(ascii: character) else { return false }
      rest.removeFirst()
      return true
    }

    mutating func timestamp() -> Timestamp? {
      guard let year = number(), take("-"), let month = number(in: 1...12), take("-"),
        let day = number(in: 1...31)
      else { return nil }
      var time: Int64 = 0
      if take(" "), rest.first.map({ (0x30...0x39).contains($0) }) == true {
        guard let timeOfDay = timeOfDay() else { return nil }
        time = timeOfDay
        guard let offset = offset() else { return nil }
        time -= offset
        _ = take(" ")
      }
      let isBC = take("B") && take("C")
      guard rest.isEmpty, year > 0 else { return nil }
      let days = Timestamp.day(year: isBC ? 1 - year : year, month: month, day: day)
      let (start, tooLarge) = days.multipliedReportingOverflow(by: Timestamp.perDay)
      let (moment, overflows) = start.addingReportingOverflow(time)
      return tooLarge || overflows ? nil : Timestamp(microsecondsSince1970: moment)
    }

    private mutating func timeOfDay() -> Int64? {
      guard let hour = number(in: 0...24), take(":"), let minute = number(in: 0...59), take(":"),
        let second = number(in: 0...60)
      else { return nil }
      var time = ((hour * 60 + minute) * 60 + second) * 1_000_000
      if take(".") {
        var unit: Int64 = 100_000
        while let byte = rest.first, (0x30...0x39).contains(byte) {
          time += Int64(byte - 0x30) * unit
          unit /= 10
          rest.removeFirst()
        }
      }
      return time
    }

    /// `+02`, `-03:30`, `+00:19:32`; none is UTC.
    private mutating func offset() -> Int64? {
      let isWest = rest.first == UInt8(ascii: "-")
      guard isWest || rest.first == UInt8(ascii: "+") else { return 0 }
      rest.removeFirst()
      guard var seconds = number(in: 0...23).map({ $0 * 3600 }) else { return nil }
      for unit: Int64 in [60, 1] where take(":") {
        guard let part = number(in: 0...59) else { return nil }
        seconds += part * unit
      }
      return (isWest ? -seconds : seconds) * 1_000_000
    }
  }
}

extension Timestamp: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let timestamp = Timestamp(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a timestamp")
    }
    self = timestamp
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension Int64 {
  /// Rounded down, not towards zero. `divisor` is positive.
  fileprivate func flooredQuotient(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}
