/// A type that a column's value can be read as, straight from the memory that libpq received it in.
///
/// Conforming types of ours: the integers, `Double`, `Float`, `Bool`, `String`, `[UInt8]` (bytea),
/// `PostgresUUID`, `Timestamp`. Everything else, such as numeric, date, interval, json and arrays, is read as a
/// `String` in the form that the server gives it.
public protocol ColumnDecodable {
  /// From PostgreSQL's text format (PostgreSQL manual, chapter 8 "Data Types"); nil if the text is no such value.
  init?(postgresText text: UnsafeBufferPointer<UInt8>)
}

extension String: ColumnDecodable {
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) { self.init(decoding: text, as: UTF8.self) }
}

extension Bool: ColumnDecodable {
  /// `t` or `f`.
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) {
    guard text.count == 1 else { return nil }
    switch text[0] {
    case UInt8(ascii: "t"): self = true
    case UInt8(ascii: "f"): self = false
    default: return nil
    }
  }
}

extension FixedWidthInteger {
  /// Digits, and a minus sign where the type has one; nil if it does not fit.
  fileprivate init?(digits text: UnsafeBufferPointer<UInt8>) {
    var rest = text[...]
    let isNegative = rest.first == UInt8(ascii: "-")
    if isNegative { rest = rest.dropFirst() }
    guard !rest.isEmpty else { return nil }
    var value: Self = 0
    for byte in rest {
      guard let digit = Self(exactly: Int(byte) - 0x30), (0...9).contains(digit) else { return nil }
      let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflows) =
        isNegative ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
      if tooLarge || overflows { return nil }
      value = sum
    }
    self = value
  }
}

// All of them: Swift's own `Decodable` conformances would ask for one that is missing here for ever.

extension Int: ColumnDecodable {
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) { self.init(digits: text) }
}

extension Int8: ColumnDecodable {
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) { self.init(digits: text) }
}

extension Int16: ColumnDecodable {
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) { self.init(digits: text) }
}

extension Int32: ColumnDecodable {
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) { self.init(digits: text) }
}

extension Int64: ColumnDecodable {
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) { self.init(digits: text) }
}

extension Int128: ColumnDecodable {
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) { self.init(digits: text) }
}

extension UInt: ColumnDecodable {
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) { self.init(digits: text) }
}

extension UInt8: ColumnDecodable {
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) { self.init(digits: text) }
}

extension UInt16: ColumnDecodable {
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) { self.init(digits: text) }
}

extension UInt32: ColumnDecodable {
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) { self.init(digits: text) }
}

extension UInt64: ColumnDecodable {
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) { self.init(digits: text) }
}

extension UInt128: ColumnDecodable {
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) { self.init(digits: text) }
}

extension Double: ColumnDecodable {
  /// Also of numeric, rounded to the nearest; `NaN` and `Infinity` as PostgreSQL spells them. Nil for a number that is
  /// too large to be one.
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) { self.init(number: text) }
}

extension Float: ColumnDecodable {
  /// As for `Double`, with this type's own range.
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) { self.init(number: text) }
}

extension BinaryFloatingPoint where Self: LosslessStringConvertible {
  /// Swift reads what is beyond the range as an infinity: it is one only if it is spelled so.
  fileprivate init?(number text: UnsafeBufferPointer<UInt8>) {
    guard let value = Self(String(decoding: text, as: UTF8.self)) else { return nil }
    if value.isInfinite, !text.contains(UInt8(ascii: "I")) { return nil }
    self = value
  }
}

extension [UInt8]: ColumnDecodable {
  /// bytea, in the `hex` form that the server gives it unless told otherwise, or in the older `escape` form.
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) {
    if text.count >= 2, text[0] == UInt8(ascii: "\\"), text[1] == UInt8(ascii: "x") {
      self.init(hex: text[2...])
    } else {
      self.init(escaped: text)
    }
  }

  private init?(hex digits: Slice<UnsafeBufferPointer<UInt8>>) {
    guard digits.count.isMultiple(of: 2) else { return nil }
    self.init()
    reserveCapacity(digits.count / 2)
    var index = digits.startIndex
    while index < digits.endIndex {
      guard let high = nibble(digits[index]), let low = nibble(digits[index + 1]) else { return nil }
      append(high << 4 | low)
      index += 2
    }
  }

  private init?(escaped text: UnsafeBufferPointer<UInt8>) {
    self.init()
    var rest = text[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\") else {
        append(byte)
        continue
      }
      if rest.first == UInt8(ascii: "\\") {
        append(rest.removeFirst())
        continue
      }
      var value = 0
      for _ in 0..<3 {
        guard let digit = rest.popFirst(), (0x30...0x37).contains(digit) else { return nil }
        value = value * 8 + Int(digit) - 0x30
      }
      guard let byte = UInt8(exactly: value) else { return nil }
      append(byte)
    }
  }
}

/// The value of a hexadecimal digit.
func nibble(_ digit: UInt8) -> UInt8? {
  switch digit {
  case 0x30...0x39: digit - 0x30
  case 0x41...0x46: digit - 0x41 + 10
  case 0x61...0x66: digit - 0x61 + 10
  default: nil
  }
}
