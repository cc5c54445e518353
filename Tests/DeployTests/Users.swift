import Foundation
import Support

/// Users of a service: a process of its own that asks again and again (`load.py`).
final class Users: Sendable {
  struct Question: Sendable {
    /// Unix time, in seconds.
    let asked: Double
    /// In milliseconds.
    let took: Double
    /// 0 without an answer.
    let status: Int
    /// The version of who answered, or what went wrong.
    let said: String

    var isAnswered: Bool { status == 200 }
  }

  private let directory: TemporaryDirectory
  private let process: BackgroundProgram

  init(of url: String, perSecond rate: Int) throws {
    directory = try TemporaryDirectory()
    process = try BackgroundProgram(
      [Machine.python, Machine.file("Tests/DeployTests/load.py"), url, "\(rate)"], log: directory.file("log"))
  }

  deinit {
    process.kill()
    directory.remove()
  }

  /// Those that are over, in the order in which they ended.
  var questions: [Question] {
    process.log.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard words.count == 4, let asked = Double(words[0]), let took = Double(words[1]),
        let status = Int(words[2])
      else { return nil }
      return Question(asked: asked, took: took, status: status, said: String(words[3]))
    }
  }

  /// Asks no more, and returns all questions when the last is over.
  func end() async throws -> [Question] {
    process.signal(SIGTERM)
    guard await eventually(within: .seconds(40), { !process.isRunning }) else {
      throw FixtureError("the load does not end")
    }
    return questions
  }
}
