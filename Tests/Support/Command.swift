import Foundation

/// What a program that ran to its end left behind.
public struct CommandResult: Sendable {
  public let status: ExitStatus
  public let output: String
  public let errors: String
  public var succeeded: Bool { status == .exited(0) }
}

/// Runs a program to its end. Throws if it does not start or does not end in time (it is killed then).
@discardableResult
public func run(
  _ command: [String], environment: [String: String] = cleanEnvironment(), input: String = "",
  within limit: Duration = .seconds(60)
) async throws -> CommandResult {
  try await blocking { try runBlocking(command, environment: environment, input: input, within: limit) }
}

/// As `run`, and throws with the program's own words if it fails.
@discardableResult
public func runChecked(
  _ command: [String], environment: [String: String] = cleanEnvironment(), input: String = "",
  within limit: Duration = .seconds(60)
) async throws -> String {
  try await blocking {
    try runCheckedBlocking(command, environment: environment, input: input, within: limit)
  }
}

@discardableResult
func runCheckedBlocking(
  _ command: [String], environment: [String: String] = cleanEnvironment(), input: String = "",
  within limit: Duration = .seconds(60)
) throws -> String {
  let result = try runBlocking(command, environment: environment, input: input, within: limit)
  guard result.succeeded else {
    throw FixtureError(
      "\(command.joined(separator: " ")): \(result.status): \(result.errors)\(result.output)")
  }
  return result.output
}

func runBlocking(
  _ command: [String], environment: [String: String] = cleanEnvironment(), input: String = "",
  within limit: Duration = .seconds(60)
) throws -> CommandResult {
  // Files, not pipes: nothing can fill up, and a grandchild that keeps one open keeps nobody waiting.
  let input = try scratchFile(containing: input)
  let (output, errors) = (try scratchFile(), try scratchFile())
  defer { for file in [input, output, errors] { close(file) } }
  let child = try ChildProcess(
    command, environment: environment, input: input, output: output, errors: errors)
  guard let status = child.waitBlocking(within: limit) else {
    child.kill()
    throw FixtureError(
      "\(command.joined(separator: " ")) did not end within \(limit): \(contents(errors))\(contents(output))")
  }
  return CommandResult(status: status, output: contents(output), errors: contents(errors))
}

/// A file without a name, for reading and writing.
private func scratchFile(containing text: String = "") throws -> Int32 {
  var path = Array("/tmp/wg-scratch-XXXXXX".utf8CString)
  let file = mkstemp(&path)
  guard file >= 0 else { throw FixtureError("cannot make a temporary file: \(errnoText())") }
  Descriptors.closeOnExec(file)
  unlink(path)
  let bytes = Array(text.utf8)
  var written = 0
  while written < bytes.count {
    let count = bytes[written...].withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
    guard count > 0 else { throw FixtureError("cannot write a temporary file: \(errnoText())") }
    written += count
  }
  lseek(file, 0, SEEK_SET)
  return file
}

private func contents(_ file: Int32) -> String {
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 16384)
  while true {
    let count = pread(file, &buffer, buffer.count, off_t(bytes.count))
    guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
    bytes += buffer[..<count]
  }
}
