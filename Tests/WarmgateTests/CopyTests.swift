import Foundation
import Support
import Testing

@testable import warmgate

@Suite struct CopyTests {
  @Test("a copy runs with nothing but what was copied, and takes the place of an older one")
  func copyRuns() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
    try directory.write("warmgate", "an older one, cut off")
    let copied = try await warmgate("copy", path)
    #expect(copied.status == .exited(0))
    #expect(copied.output.hasPrefix("copied the program and "))
    #expect(copied.errors == "")

    let start = ["\(path)/ld.so", "--library-path", path]
    let version = try await run(start + ["\(path)/warmgate", "version"], environment: [:])
    #expect(version.output == "warmgate \(Warmgate.version)\n")
    #expect(version.errors == "")

    // What the loader finds outside the directory is the kernel's own page, and the loader that the file names and
    // that is not used: it is running already.
    let list = try await run(start + ["--list", "\(path)/warmgate"], environment: [:])
    let elsewhere = list.output.split(separator: "\n").filter { !$0.contains(" => \(path)/") }
    #expect(list.output.contains("libpq.so.5 => \(path)/libpq.so.5"))
    #expect(elsewhere.allSatisfy { $0.contains("linux-vdso") || $0.contains("ld-linux") }, "\(elsewhere)")

    // Another user runs it, and no half-written file is left.
    for name in try FileManager.default.contentsOfDirectory(atPath: path) {
      let attributes = try FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")
      #expect(attributes[.posixPermissions] as? Int == 0o755, "\(name)")
      #expect(!name.hasSuffix(".partial"))
    }

    let again = try await run(start + ["\(path)/warmgate", "copy", path], environment: [:])
    #expect(again.status == .exited(1))
    #expect(again.errors == "warmgate: not copied: this program is itself a copy; copy from the image\n")
  }

  @Test("where it cannot write, copy says which file and why, and ends with 1; without a directory with 2")
  func refusals() async throws {
    let nowhere = try await warmgate("copy", "/nonexistent/place")
    #expect(nowhere.status == .exited(1))
    #expect(nowhere.errors.hasPrefix("warmgate: not copied: /nonexistent/place/"))
    #expect(nowhere.errors.hasSuffix(" cannot be opened: No such file or directory\n"))
    #expect(try await warmgate("copy").status == .exited(2))
    #expect(try await warmgate("copy", "/tmp/a", "/tmp/b").status == .exited(2))
  }
}
