import FaultyNetwork
import Glibc

/// The link of `scripts/bench strategies`: a proxy for each port it is given, which passes everything on late.
///
///     SlowLink MEAN MOST PORT…
///
/// Each piece of data is delayed by a random time, exponential, of MEAN milliseconds on average and at most MOST.
/// Prints the ports it listens on. `silent N` on standard input makes the Nth of them swallow everything; ends with
/// its input.
@main
struct SlowLink {
  static func main() throws {
    let numbers = CommandLine.arguments.dropFirst().compactMap { Int($0) }
    guard numbers.count > 2 else { fatalError("SlowLink MEAN MOST PORT…") }
    var delay = FaultProxy.Delay()
    (delay.mean, delay.most) = (.milliseconds(numbers[0]), .milliseconds(numbers[1]))
    let proxies = try numbers.dropFirst(2).enumerated().map { index, port in
      let proxy = try FaultProxy(to: port, seed: UInt64(index + 1))
      proxy.delay(towardsClient: delay, towardsServer: delay)
      return proxy
    }
    print(proxies.map { "\($0.port)" }.joined(separator: " "))
    fflush(nil)
    while let line = readLine() {
      let words = line.split(separator: " ")
      guard words.count == 2, words[0] == "silent", let index = Int(words[1]), proxies.indices.contains(index)
      else { continue }
      proxies[index].fallSilent()
    }
  }
}
