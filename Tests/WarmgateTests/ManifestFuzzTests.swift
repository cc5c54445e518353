import FaultyNetwork
import Foundation
import Testing

@testable import warmgate

/// `WARMGATE_TEST_SEED=n` mutates one again.
@Suite struct ManifestFuzzTests {
  private static let pieces = [
    "-1", "1e300", "99999999999999999999", "9223372036854775807", "\"\"", "~", "[]", "{}", "*a", "&a ",
    "<<: *a\n", "\n",
    ": ", "- ", "\t", "\"", "'", "|", ">", "%", "101%", "yes", "0x7FFFFFFF", "$(A)", "---\n", "...\n",
    "!!int ", "\u{0}",
    "é", "2147483647", "8760h", "999999999999999999s", "serve", "--", "warmgate", "sleep 1e308", "?",
    "items: ", "#",
  ]

  private func mutated(_ text: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
    var text = text
    for _ in 0..<Int.random(in: 1...2, using: &random) where !text.isEmpty {
      let place = Int.random(in: 0..<text.count, using: &random)
      let end = min(text.count, place + Int.random(in: 0...12, using: &random))
      let piece = Array((Self.pieces.randomElement(using: &random) ?? "").utf8)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: text[place] = UInt8.random(in: 0...255, using: &random)
      case 1: text.removeSubrange(place..<end)
      case 2: text.insert(contentsOf: piece, at: place)
      case 3: text.replaceSubrange(place..<end, with: piece)
      case 4: text.insert(contentsOf: text[place..<end], at: Int.random(in: 0..<text.count, using: &random))
      // A value: what is between a colon or a comma and the next one.
      default:
        let start = text[place...].firstIndex { ": [{".utf8.contains($0) } ?? place
        let stop = text[start...].dropFirst().firstIndex { ",]}\n".utf8.contains($0) } ?? start
        if start < stop { text.replaceSubrange((start + 1)..<stop, with: Array(" ".utf8) + piece) }
      }
    }
    return text
  }

  @Test("whatever is in a manifest, there is a plan or one line")
  func fuzz() throws {
    let given = ProcessInfo.processInfo.environment["WARMGATE_TEST_SEED"].flatMap(UInt64.init)
    let whole = Array((ShopManifest.shop + ShopManifest.service).utf8)
    var plans = 0
    for seed in given.map({ $0...$0 }) ?? 1...4000 {
      var random = SeededRandom(seed: seed)
      let text = mutated(whole, &random)
      do {
        let file = try ManifestFile(text, called: "fuzz.yaml")
        let plan = try PlannedWorkload(
          file, name: nil, container: nil,
          .init(
            appConnections: 3, appStop: .seconds(5),
            arguments: try Arguments([], accepting: [], command: "plan")))
        let room = FleetRoom(maxConnections: 20, reserved: 3, others: 0)
        let lines = plan.lines + RolloutPlan(fleet: plan.fleet, room: room).lines + plan.reviewLines
        let json = plan.members.map(\.value.text).joined()
        #expect(!lines.contains { $0.contains("\n") } && !json.contains("\n"), "WARMGATE_TEST_SEED=\(seed)")
        plans += 1
      } catch {
        #expect(error.description.hasPrefix("fuzz.yaml: "), "WARMGATE_TEST_SEED=\(seed): \(error)")
        #expect(!error.description.contains("\n"), "WARMGATE_TEST_SEED=\(seed): \(error)")
      }
    }
    // Both ways have been gone.
    #expect(given != nil || (400...3600).contains(plans), "\(plans) of 4000")
  }
}
