import Foundation
import Support
import Testing

@Suite("a password file that changes")
struct LoginsPasswordFileTests {
  /// How a file gets a new content.
  enum Change: String, Sendable, CaseIterable {
    /// Written anew, in place.
    case rewritten
    /// Another file takes its name.
    case replaced
    /// As Kubernetes does it with a mounted secret: the file is a symbolic link into the directory that the link
    /// `..data` names, and that link is exchanged.
    case swapped
  }

  /// A directory with a password file that changes as told.
  private struct Mount {
    let directory: TemporaryDirectory
    let change: Change

    init(_ change: Change, holding password: String) throws {
      directory = try TemporaryDirectory()
      self.change = change
      if change == .swapped { symlink("..data/password", path) }
      try set(password)
    }

    var path: String { directory.file("password") }

    func set(_ password: String) throws {
      switch change {
      case .rewritten: try (password + "\n").write(toFile: path, atomically: false, encoding: .utf8)
      case .replaced: try directory.write("password", password + "\n")
      case .swapped:
        let version = "..\(UUID().uuidString)"
        try FileManager.default.createDirectory(
          atPath: directory.file(version), withIntermediateDirectories: false)
        try directory.write("\(version)/password", password)
        let before = try? FileManager.default.destinationOfSymbolicLink(atPath: directory.file("..data"))
        symlink(version, directory.file("..data_tmp"))
        rename(directory.file("..data_tmp"), directory.file("..data"))
        if let before { try FileManager.default.removeItem(atPath: directory.file(before)) }
      }
    }
  }

  /// Waits until a second login in a row has failed: from then on the pace is 30 to 60 s, and only the file's change
  /// can be what makes it try.
  private func waitUntilItHasGivenUp(_ sidecar: RunningSidecar, _ kind: String) async throws {
    let gaveUp = await eventually(within: .seconds(40)) {
      let login = try await sidecar.status()["login"]
      return login["last_fault"]["kind"].string == kind && login["failures_in_row"].int ?? 0 >= 2
        && login["next_in"].double ?? 0 > 5
    }
    let login = try await sidecar.status()["login"]
    #expect(gaveUp, "\(login)")
  }

  private func expectLoginsWork(_ sidecar: RunningSidecar, since change: ContinuousClock.Instant) async throws
  {
    let works = await sidecar.logEntry(within: .seconds(20)) {
      $0.message == "logins work again" && $0.at > change
    }
    let took = try #require(works).at - change
    #expect(took < .seconds(2))
  }

  @Test("corrected before the first ready, it is used within two seconds", arguments: Change.allCases)
  func beforeReady(change: Change) async throws {
    try await withPostgres { pg in
      let mount = try Mount(change, holding: "wrong-s3cret")
      let flags = ["--password-file", mount.path]
      try await withSidecar(flags, url: pg.tcpURL(password: nil)) { sidecar in
        try await waitUntilItHasGivenUp(sidecar, "server")
        try await sidecar.expectNotReady(because: "28P01")
        let changed = ContinuousClock.now
        try mount.set(TestPostgres.password)
        try await expectLoginsWork(sidecar, since: changed)
        try await sidecar.waitUntilReady()
        #expect(pg.countInLog(matching: "state=28P01 FATAL") == 2)
      }
    }
  }

  @Test(
    "changed after ready, with sessions that work, it is used within two seconds", arguments: Change.allCases)
  func afterReady(change: Change) async throws {
    try await withPostgres { pg in
      try await pg.sql("create role app login password 'first-s3cret'")
      let mount = try Mount(change, holding: "first-s3cret")
      let flags = ["--password-file", mount.path, "--max-lifetime", "3s"]
      try await withSidecar(flags, url: pg.tcpURL(user: "app", password: nil)) { sidecar in
        try await sidecar.waitUntilReady()
        let observer = sidecar.observer()
        try await pg.sql("alter role app password 'second-s3cret'")
        try await waitUntilItHasGivenUp(sidecar, "server")
        let degraded = try await sidecar.verdict()
        #expect(degraded["ready"].bool == true && degraded["degraded"].bool == true)
        #expect(degraded["reasons"][0]["sqlstate"].string == "28P01")
        let changed = ContinuousClock.now
        try mount.set("second-s3cret")
        try await expectLoginsWork(sidecar, since: changed)
        try await sidecar.waitUntil(200) { $0["x-envoy-degraded"] == nil }
        #expect(await observer.stop().allSatisfy { $0.status == 200 })
      }
    }
  }

  @Test(
    "vanished or emptied after ready: degraded with the reason, ready all the time, and used once it is back")
  func vanishes() async throws {
    try await withPostgres { pg in
      let mount = try Mount(.rewritten, holding: TestPostgres.password)
      let flags = ["--password-file", mount.path, "--max-lifetime", "3s"]
      try await withSidecar(flags, url: pg.tcpURL(password: nil)) { sidecar in
        try await sidecar.waitUntilReady()
        let observer = sidecar.observer()
        for (isEmpty, words) in [(false, "cannot be opened: No such file"), (true, "is empty")] {
          if isEmpty { try Data().write(to: URL(fileURLWithPath: mount.path)) } else { unlink(mount.path) }
          let degraded = await eventually(within: .seconds(30)) {
            try await sidecar.verdict()["reasons"][0]["text"].string
              == "login failing: settings: not accepted, see the log"
          }
          #expect(degraded)
          let detail = try await sidecar.lastLoginFault()["detail"].string
          #expect(detail?.contains("password file \(mount.path) \(words)") == true, "\(detail ?? "")")
          #expect(sidecar.process.isRunning)
          let changed = ContinuousClock.now
          try mount.set(TestPostgres.password)
          try await expectLoginsWork(sidecar, since: changed)
          try await sidecar.waitUntil(200) { $0["x-envoy-degraded"] == nil }
        }
        #expect(await observer.stop().allSatisfy { $0.status == 200 })
        #expect(await sidecar.terminate() == .exited(0))
      }
    }
  }
}
