import Foundation
import Testing

@testable import warmgate

@Suite("pages that only the start needed") struct StartupPagesTests {
  @Test("go back to the system, but for a private copy such as a debugger's breakpoint makes")
  func privateCopy() throws {
    // Nobody reads the unused bytes of a library's ELF header.
    // (String(contentsOfFile:) reads no more than the first page of a file in /proc.)
    let file = try #require(FileHandle(forReadingAtPath: "/proc/self/maps"))
    let maps = String(decoding: file.readDataToEndOfFile(), as: UTF8.self)
    let header = try #require(
      maps.split(separator: "\n").first { $0.contains("libpq") && $0.contains(" r--p 00000000 ") })
    let address = try #require(header.split(separator: "-").first.flatMap { UInt($0, radix: 16) })
    let page = try #require(UnsafeMutableRawPointer(bitPattern: address))
    let size = sysconf(Int32(_SC_PAGESIZE))
    let unused = page + 12
    #expect(unused.load(as: UInt8.self) == 0)
    try #require(mprotect(page, size, PROT_READ | PROT_WRITE) == 0)
    defer {
      unused.storeBytes(of: 0, as: UInt8.self)
      mprotect(page, size, PROT_READ)
    }
    unused.storeBytes(of: 42, as: UInt8.self)

    #expect(StartupPages.giveBack() > 1 << 20)
    #expect(unused.load(as: UInt8.self) == 42)
  }
}
