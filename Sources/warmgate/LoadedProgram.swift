import CLinux
import EventLoop
import Glibc

/// The files that this process runs from: what another container needs to run the same.
struct LoadedProgram: Sendable {
  let executable: String
  /// The dynamic loader, which can be given the program and the place of its libraries as arguments (ld.so(8)).
  let loader: String
  /// The others, under the names that the loader looked for.
  let libraries: [String]

  static func current() throws(TextFile.Failure) -> LoadedProgram {
    guard let executable = realpath("/proc/self/exe", nil) else {
      throw TextFile.Failure("/proc/self/exe: \(errorText(errno))")
    }
    defer { free(executable) }
    var names: [String] = []
    withUnsafeMutablePointer(to: &names) { clinux_loaded_objects(noteLoadedObject, $0) }
    let files = names.filter { $0.hasPrefix("/") }
    guard let loader = files.first(where: { fileName($0).hasPrefix("ld-") }) else {
      throw TextFile.Failure("this program is itself a copy; copy from the image")
    }
    return LoadedProgram(
      executable: String(cString: executable), loader: loader, libraries: files.filter { $0 != loader })
  }

  /// Each file is whole or not there. A second copy takes the place of the first.
  func copy(to directory: String) throws(TextFile.Failure) {
    for library in libraries { try Self.copy(library, to: "\(directory)/\(fileName(library))") }
    try Self.copy(loader, to: "\(directory)/ld.so")
    try Self.copy(executable, to: "\(directory)/warmgate")
  }

  /// More than any library has, of a debug build too.
  private static let longest = 1 << 29

  private static func copy(_ source: String, to target: String) throws(TextFile.Failure) {
    let bytes: [UInt8]
    do {
      bytes = try TextFile.bytes(of: source, atMost: longest)
    } catch {
      throw TextFile.Failure("\(source) \(error)")
    }
    let partial = target + ".partial"
    do {
      try TextFile.write(bytes, to: partial)
    } catch {
      unlink(partial)
      throw TextFile.Failure("\(target) \(error)")
    }
    // Whoever runs it is another user.
    guard chmod(partial, 0o755) == 0, rename(partial, target) == 0 else {
      let why = errorText(errno)
      unlink(partial)
      throw TextFile.Failure("\(target): \(why)")
    }
  }
}

private func fileName(_ path: String) -> Substring {
  path.lastIndex(of: "/").map { path[path.index(after: $0)...] } ?? path[...]
}

/// `context` is the list of names.
private func noteLoadedObject(_ name: UnsafePointer<CChar>?, _ context: UnsafeMutableRawPointer?) {
  guard let name, let context else { return }
  context.assumingMemoryBound(to: [String].self).pointee.append(String(cString: name))
}
