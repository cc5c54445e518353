import Foundation
import Support
import Testing

/// The files in `Escaping/` are given to the compiler, as a user's would be.
@Suite(.timeLimit(.minutes(5))) struct EscapingTests {
  @Test(
    "a lease that would escape its scope does not compile",
    arguments: [
      ("Kept", "implicit conversion to 'Lease?' is consuming"),
      ("Returned", "requires that 'Lease' conform to 'Copyable'"),
    ])
  func escaping(file: String, error: String) async throws {
    let said = try await compilerErrors(of: file)
    #expect(said.contains(error), "\(said)")
  }

  @Test("a lease that is handed on within its scope does compile")
  func staying() async throws {
    let said = try await compilerErrors(of: "Used")
    #expect(said.isEmpty, "\(said)")
  }

  private func compilerErrors(of file: String) async throws -> String {
    let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    let package = here.deletingLastPathComponent().deletingLastPathComponent().path
    let built = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
      .path
    let script = """
      swiftc -typecheck -swift-version 6 -enable-upcoming-feature NonisolatedNonsendingByDefault \
        -module-cache-path "$1/ModuleCache" -I "$1/Modules" \
        -Xcc -fmodule-map-file="$2/Sources/CLibpq/module.modulemap" \
        -Xcc -fmodule-map-file="$1/CLinux.build/module.modulemap" \
        $(pkg-config --cflags libpq | sed 's/-I/-Xcc -I/g') "$3" 2>&1 | grep 'error:' || true
      """
    return try await runChecked(
      ["/bin/bash", "-c", script, "typecheck", built, package, "\(here.path)/Escaping/\(file).swift"],
      environment: ProcessInfo.processInfo.environment, within: .seconds(240))
  }
}
