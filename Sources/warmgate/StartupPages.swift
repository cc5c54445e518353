import CLinux
import Glibc

/// Code and constants that only the start needed.
///
/// A page of a program or library counts as resident from its first use, along with up to fifteen neighbours that the
/// kernel maps with it. Most of what has been used when a sidecar is ready belongs to its start alone: the loader's
/// work on some twenty-five libraries, the set-up of OpenSSL and GnuTLS, the reading of settings. It would stay for
/// the life of the process, for as long as the node has memory to spare.
enum StartupPages {
  /// Unmaps them; returns how many bytes. What is used again is mapped again from the page cache, in about a
  /// microsecond, so this costs an idle instance nothing that can be measured.
  ///
  /// Nothing can be lost. Only segments are looked at that are mapped without the right to write, while no library
  /// can be unloaded; and of these only the pages that, by the kernel's word, are the file's own. That leaves out the
  /// private copies that a debugger or a tracer's uprobes have made of a page, to put breakpoints there. Without
  /// /proc nothing is done.
  @discardableResult
  static func giveBack() -> Int {
    let pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)
    guard pagemap >= 0 else { return 0 }
    defer { close(pagemap) }
    var sweep = Sweep(pagemap: pagemap, pageSize: UInt(sysconf(Int32(_SC_PAGESIZE))))
    clinux_read_only_segments(visitSegment, &sweep)
    return sweep.bytes
  }
}

/// Named and free of isolation: it is called by C.
private func visitSegment(_ start: UInt, _ size: Int, _ context: UnsafeMutableRawPointer?) {
  context?.assumingMemoryBound(to: Sweep.self).pointee.giveBack(from: start, size: UInt(size))
}

private struct Sweep {
  let pagemap: Int32
  let pageSize: UInt
  var bytes = 0

  mutating func giveBack(from start: UInt, size: UInt) {
    // Of /proc/self/pagemap: one for each page (proc(5)).
    var entries = [UInt64](repeating: 0, count: 512)
    var page = start / pageSize
    let end = (start + size + pageSize - 1) / pageSize
    while page < end {
      let wanted = min(Int(end - page), entries.count)
      let entrySize = MemoryLayout<UInt64>.size
      let read = pread(pagemap, &entries, wanted * entrySize, Int(page) * entrySize)
      guard read >= entrySize else { return }
      giveBack(entries.prefix(read / entrySize), from: page)
      page += UInt(read / entrySize)
    }
  }

  /// One call for each run of pages that may go.
  private mutating func giveBack(_ entries: ArraySlice<UInt64>, from page: UInt) {
    var rest = entries
    while let first = rest.firstIndex(where: Self.isOfTheFile) {
      let run = rest[first...].prefix(while: Self.isOfTheFile)
      let size = run.count * Int(pageSize)
      let address = UnsafeMutableRawPointer(bitPattern: (page + UInt(first)) * pageSize)
      if madvise(address, size, MADV_DONTNEED) == 0 { bytes += size }
      rest = rest[run.endIndex...]
    }
  }

  /// Bit 63: the page is there. Bit 61: it is a file's page, not a private copy.
  private static func isOfTheFile(_ entry: UInt64) -> Bool { entry >> 63 & 1 == 1 && entry >> 61 & 1 == 1 }
}
