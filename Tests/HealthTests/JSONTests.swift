import Foundation
import PoolCore
import Testing

@testable import Health

@Suite("JSON is written as RFC 8259 wants it")
struct JSONTests {
  @Test("every character survives a reader, however odd")
  func characters() throws {
    var text = (0...0x7F).compactMap { Unicode.Scalar($0) }.map { String($0) }.joined()
    text += "ü 漢字 👩‍👩‍👧 \u{2028}\u{2029}\u{FFFD}\u{1F}e\u{301} \\u0041 </script>"
    let read =
      try JSONSerialization.jsonObject(with: Data(JSON.array([.string(text)]).text.utf8)) as? [String]
    #expect(read == [text])
    #expect(!JSON.string(text).text.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x2028 })
  }

  @Test("members stay in order, and nothing but strings has spaces")
  func order() {
    let value: JSON = ["z": 1, "a": [true, nil, -2.5, "x y"], "m": ["": [:]]]
    #expect(value.text == #"{"z":1,"a":[true,null,-2.5,"x y"],"m":{"":{}}}"#)
  }

  @Test("numbers that JSON cannot say are null")
  func numbers() {
    #expect(
      JSON.array([.number(.nan), .number(.infinity), .number(-.infinity), .int(.min)]).text
        == "[null,null,null,-9223372036854775808]")
  }

  @Test("durations are seconds, to the microsecond, and can be absurd")
  func seconds() throws {
    #expect(JSON.seconds(.milliseconds(1500)).text == "1.5")
    #expect(JSON.seconds(.nanoseconds(420_999)).text == "0.00042")
    #expect(JSON.seconds(.seconds(-3)).text == "-3.0")
    for extreme in [Duration.nanoseconds(Int64.max), .nanoseconds(Int64.min), .nanoseconds(1)] {
      _ = try JSONSerialization.jsonObject(with: Data("[\(JSON.seconds(extreme).text)]".utf8))
    }
  }
}
