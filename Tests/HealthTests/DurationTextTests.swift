import PoolCore
import Testing

@Suite("Durations in settings and queries")
struct DurationTextTests {
  @Test(
    "are a whole number and a unit",
    arguments: [
      ("250ms", Duration.milliseconds(250)), ("5s", .seconds(5)), ("2m", .seconds(120)),
      ("1h", .seconds(3600)),
      ("0s", .zero), ("007s", .seconds(7)),
    ])
  func good(text: String, expected: Duration) {
    #expect(Duration(text: text) == expected)
  }

  @Test(
    "are nothing else",
    arguments: [
      "", "5", "s", "5 s", " 5s", "5s ", "-5s", "+5s", "1.5s", "5S", "5sec", "5m30s", "٣s", "9999999999999h",
      "99999999999999999999s", "5µs", "5s\n", "½h",
    ])
  func bad(text: String) {
    #expect(Duration(text: text) == nil)
  }
}
