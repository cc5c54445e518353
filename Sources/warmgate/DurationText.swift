extension Duration {
  /// Reads a duration as the settings and the admin address take it: a whole number and one unit, `250ms`, `5s`,
  /// `2m`, `1h`. Nil for anything else, and for what does not fit 64 bits of nanoseconds.
  public init?(text: some StringProtocol) {
    let digits = text.prefix { $0.isASCII && $0.isWholeNumber }
    let nanosecondsPerUnit: Int64
    switch text[digits.endIndex...] {
    case "ms": nanosecondsPerUnit = 1_000_000
    case "s": nanosecondsPerUnit = 1_000_000_000
    case "m": nanosecondsPerUnit = 60_000_000_000
    case "h": nanosecondsPerUnit = 3_600_000_000_000
    default: return nil
    }
    guard let number = Int64(digits) else { return nil }
    let (nanoseconds, overflow) = number.multipliedReportingOverflow(by: nanosecondsPerUnit)
    if overflow { return nil }
    self = .nanoseconds(nanoseconds)
  }
}
