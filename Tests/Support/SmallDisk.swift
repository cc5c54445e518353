import Foundation

#if canImport(Testing)
  import Testing
#endif

/// A small file system in memory, owned by the server's user, to be filled up. Needs root.
public final class SmallDisk: Sendable {
  private let directory: TemporaryDirectory
  public var path: String { directory.file("disk") }

  public init(megabytes: Int) throws {
    directory = try TemporaryDirectory()
    let installation = try PostgresInstallation.found.get()
    chmod(directory.path, 0o755)
    mkdir(path, 0o700)
    SafetyNet.shared.add(.mount(path))
    try runCheckedBlocking(["mount", "-t", "tmpfs", "-o", "size=\(megabytes)m,mode=700", "none", path])
    installation.giveAway(path)
  }

  deinit { remove() }

  /// Takes all that is free.
  public func fill() async throws {
    let ballast = "\(path)/ballast"
    try await blocking {
      // `dd` fails on purpose: with "no space left".
      _ = try runBlocking(["dd", "if=/dev/zero", "of=\(ballast)", "bs=4096"])
    }
  }

  /// Gives it back.
  public func free() throws { try FileManager.default.removeItem(atPath: "\(path)/ballast") }

  public func remove() {
    _ = try? runBlocking(["umount", "-l", path])
    SafetyNet.shared.forget(.mount(path))
    directory.remove()
  }

  /// Why none can be made here; nil if it can.
  public static let unavailable: String? = {
    guard geteuid() == 0 else { return "mounting needs root" }
    do {
      try SmallDisk(megabytes: 1).remove()
      return nil
    } catch {
      return "a file system cannot be mounted here: \(error)"
    }
  }()
}

#if canImport(Testing)
  extension Trait where Self == ConditionTrait {
    /// Skips a test, by name and with the reason, where nothing can be mounted.
    public static var needsMount: Self {
      .enabled(if: SmallDisk.unavailable == nil, "\(SmallDisk.unavailable ?? "")")
    }
  }
#endif
