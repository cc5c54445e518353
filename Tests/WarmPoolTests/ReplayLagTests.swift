import Testing

@testable import WarmPool

@Suite struct ReplayLagTests {
  @Test(
    "whatever a server answers is a lag, and ends nothing",
    arguments: [
      (nil, .zero), ("", .zero), ("soon", .zero), ("-0.25", .zero), ("0", .zero),
      ("1.5", .milliseconds(1500)),
      ("1e300", .nanoseconds(Int64.max)), ("inf", .nanoseconds(Int64.max)), ("nan", .nanoseconds(Int64.max)),
      ("-inf", .zero),
    ] as [(String?, Duration)])
  func lag(text: String?, lag: Duration) {
    #expect(ReplayLag.lag(from: text) == lag)
  }
}
