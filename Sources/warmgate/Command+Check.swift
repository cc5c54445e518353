import EventLoop
import PoolCore
import Postgres

extension Command {
  static let check = Command(
    name: "check", summary: "connects once as serve would, and explains step by step",
    details:
      "Needs no sidecar. Shows each step with its time: settings, name, TCP, TLS, login, role, probe query, "
      + "room for this pool; and what to do about the one that fails.",
    takesSettings: true, options: [.json], exits: [(0, "everything works"), (1, "a step failed")]
  ) { invocation throws(UsageError) in
    try invocation.expectOperands(atMost: 0)
    let settings = try invocation.settings()
    let database = try invocation.database(settings)
    let isJSON = invocation.arguments.has("json")
    let report = CheckReport(console: invocation.console, isJSON: isJSON)
    do throws(SystemError) {
      let hasFailed = try onOwnLoop("check") { loop in
        var check = Check(settings, database, on: loop, report: report)
        await check.run()
        if isJSON { invocation.console.print(check.report.json.text) }
        return check.report.hasFailed
      }
      return hasFailed ? 1 : 0
    } catch {
      invocation.console.complain(error.description)
      return 1
    }
  }
}
