import PoolCore

/// The verdict in the words of HAProxy's agent check (HAProxy manual, `agent-check`): one line.
///
/// It always says everything there is to say: what a line does not mention stays as an earlier one left it, and HAProxy
/// lets nobody but the agent undo what the agent has asked for. So a new process takes back the drain of the one
/// before it with `ready`, and every line that lets traffic in names its weight.
enum AgentReply {
  /// HAProxy shows it on its status page; a longer one is cut.
  static let longestReason = 120

  /// Ends with a line break: without one, HAProxy ignores the line.
  ///
  /// - Parameter degradedWeight: what a degraded instance gets of its weight, in percent.
  static func line(_ observation: Observation, degradedWeight: Int = 100) -> String {
    words(observation, degradedWeight) + "\n"
  }

  private static func words(_ observation: Observation, _ degradedWeight: Int) -> String {
    let verdict = observation.verdict
    let reason = reason(verdict.reasons)
    if verdict.isReady {
      return verdict.isDegraded ? "up ready \(degradedWeight)% #\(reason)" : "up ready 100%"
    }
    switch observation.snapshot.phase {
    // A drain leaves the server up, so that persistent sessions come to their end. A process that does not run has none.
    case .draining where observation.snapshot.stalled(at: observation.now) == nil: return "drain"
    case .drained where observation.snapshot.stalled(at: observation.now) == nil: return "stopped #drained"
    // Not `fail`, which has another spelling in HAProxy's manual than in its code.
    default: return "down #\(reason)"
    }
  }

  /// On one line whatever it is made of.
  private static func reason(_ reasons: [Reason]) -> String {
    let text = reasons.map(\.text).joined(separator: "; ")
    let printable = text.utf8.map { (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: "?") }
    return String(decoding: printable.prefix(longestReason), as: UTF8.self)
  }
}
