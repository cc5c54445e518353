import Foundation
import Support
import Testing

@Suite("a small disk")
struct SmallDiskTests {
  @Test("it can be filled until nothing fits, and freed again, and leaves nothing behind", .needsMount)
  func fillAndFree() async throws {
    let disk = try SmallDisk(megabytes: 1)
    let file = URL(fileURLWithPath: disk.path + "/file")
    let content = Data(repeating: 1, count: 100_000)
    try await disk.fill()
    #expect(throws: (any Error).self) { try content.write(to: file) }
    try disk.free()
    try content.write(to: file)
    #expect(try Data(contentsOf: file) == content)
    disk.remove()
    #expect(!FileManager.default.fileExists(atPath: disk.path))
    let mounts = try String(contentsOfFile: "/proc/mounts", encoding: .utf8)
    #expect(!mounts.contains(disk.path))
  }
}
