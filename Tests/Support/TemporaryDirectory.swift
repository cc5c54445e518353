import Foundation

/// A directory of its own under /tmp, with a short path (a Unix socket's may have 107 bytes), removed when the
/// object goes, `remove` is called, or the test process dies.
public final class TemporaryDirectory: Sendable {
  public let path: String

  public init() throws {
    var template = Array("/tmp/wg-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw FixtureError("cannot make a directory in /tmp: \(errnoText())")
    }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    SafetyNet.shared.add(.directory(path))
  }

  deinit { remove() }

  public func file(_ name: String) -> String { "\(path)/\(name)" }

  /// Writes a file in it and returns its path.
  @discardableResult
  public func write(_ name: String, _ text: String, mode: mode_t = 0o600) throws -> String {
    let path = file(name)
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    chmod(path, mode)
    return path
  }

  public func remove() {
    // Twice: a process that is just dying may still make a file.
    for _ in 0..<2 where FileManager.default.fileExists(atPath: path) {
      try? FileManager.default.removeItem(atPath: path)
    }
    SafetyNet.shared.forget(.directory(path))
  }
}
