import PoolCore
import Testing

@testable import FleetSim

@Suite struct ScenarioFileTests {
  private func refusal(_ text: String) -> String? {
    do throws(ScenarioError) {
      _ = try Scenario(name: "x", text: text)
      return nil
    } catch { return error.description }
  }

  @Test("each form of a line is read, in any order, with comments and empty lines")
  func forms() throws {
    let scenario = try Scenario(
      name: "mine",
      text: """
        # what happened in May
        at 0s warm 50%   # half of them

        at 1m start 40
        at 10s outage 30s
        \tat 500ms restart 3s starting 10s
        at 2s occupy all for 1h
        at 3s slow 20x for 60s
        at 4s partition 30% for 20s
        at 5s roll 1
        """)
    #expect(
      scenario.parts == [
        .init(at: .zero, .warm(.percent(50))), .init(at: .seconds(60), .start(.count(40))),
        .init(at: .seconds(10), .outage(.seconds(30), starting: .zero)),
        .init(at: .milliseconds(500), .restart(.seconds(3), starting: .seconds(10))),
        .init(at: .seconds(2), .occupy(.all, for: .seconds(3600))),
        .init(at: .seconds(3), .slow(20, for: .seconds(60))),
        .init(at: .seconds(4), .partition(.percent(30), for: .seconds(20))),
        .init(at: .seconds(5), .roll(.count(1))),
      ])
    #expect(scenario.troubleBegins == .milliseconds(500))
    #expect(scenario.calm == .seconds(3602))
    #expect(scenario.end == .seconds(3602))
  }

  @Test(
    "a line that is not understood is named, with what is accepted",
    arguments: [
      ("", "no instance is ever there: begin with \"at 0s warm all\" or \"at 0s start all\""),
      ("at 0s outage 3s", "no instance is ever there: begin with \"at 0s warm all\" or \"at 0s start all\""),
      ("at 0s start all\noutage 3s", "line 2: \"outage\": give \"at\" there"),
      ("at", "line 1: nothing: give a time such as 10s after \"at\""),
      ("at soon start 3", "line 1: \"soon\": give a time such as 10s after \"at\""),
      ("at -1s start 3", "line 1: \"-1s\": give a time such as 10s after \"at\""),
      (
        "at 1s",
        "line 1: nothing after the time: give warm, start, roll, outage, restart, occupy, slow or partition"
      ),
      (
        "# a\n\nat 1s outrage 3s",
        "line 3: \"outrage\" after the time: give warm, start, roll, outage, restart, occupy, slow or partition"
      ),
      ("at 1s warm all", "line 1: warm is before the story begins: give \"at 0s warm\""),
      ("at 1s start", "line 1: nothing: give a number such as 40, a share such as 25%, or all"),
      ("at 1s start 0", "line 1: \"0\": give a number such as 40, a share such as 25%, or all"),
      ("at 1s start +5", "line 1: \"+5\": give a number such as 40, a share such as 25%, or all"),
      ("at 1s start 101%", "line 1: \"101%\": give a number such as 40, a share such as 25%, or all"),
      ("at 1s outage 0s", "line 1: \"0s\": give a duration such as 30s"),
      ("at 1s outage 25h", "line 1: \"25h\": give at most 24h"),
      ("at 1s outage 9223372036854775807h", "line 1: \"9223372036854775807h\": give a duration such as 30s"),
      ("at 1s outage 3s 4s", "line 1: \"4s\": give \"starting\" there"),
      ("at 1s outage 3s starting 4s 5s", "line 1: \"5s\" is one word too many"),
      ("at 1s occupy 3", "line 1: nothing: give \"for\" there"),
      ("at 1s slow 3 for 1s", "line 1: \"3\": give how many times slower, 2x to 1000x"),
      ("at 1s slow 1x for 1s", "line 1: \"1x\": give how many times slower, 2x to 1000x"),
    ])
  func errors(text: String, why: String) { #expect(refusal(text) == why) }

  @Test("a file of more lines than anybody writes is refused")
  func long() {
    #expect(refusal(String(repeating: "at 0s start 1\n", count: 1000)) == nil)
    #expect(
      refusal(String(repeating: "at 0s start 1\n", count: 1001))
        == "line 1001: give at most 1000 lines that do something")
  }

  @Test("every known scenario has a name of its own, in small letters, and ends after it begins")
  func known() {
    #expect(Set(Scenario.known.map(\.name)).count == Scenario.known.count)
    for scenario in Scenario.known {
      #expect(scenario.calm >= scenario.troubleBegins ?? .zero)
      #expect(scenario.name.allSatisfy { $0.isLowercase || $0 == "-" })
    }
  }
}
