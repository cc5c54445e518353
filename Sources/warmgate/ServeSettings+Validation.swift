import Glibc
import PoolCore

extension ServeSettings {
  /// Throws the first combination that cannot work.
  func validate() throws(UsageError) {
    do {
      try pool.validate()
    } catch {
      throw refusal(of: error.setting, error.description)
    }
    if maxReplayLag != nil, requireRole != .standby {
      throw refusal(of: "max-replay-lag", "only a standby lags; add --require-role standby")
    }
    if adminTokenFile == nil, !adminListen.isLoopback, !adminListen.isUnix {
      throw refusal(
        of: "admin-listen",
        "anybody could drain this instance there; add --admin-token-file, or use 127.0.0.1 or unix:/path")
    }
    if listen == adminListen {
      throw refusal(of: "admin-listen", "is the address of --listen as well; choose another")
    }
  }

  /// Throws if a file that `serve` needs cannot be used, so that a wrong mount is noticed at once and not at the
  /// first login or the first drain.
  func checkFiles() throws(UsageError) {
    try checkSecret(passwordFile, of: "password-file")
    try checkSecret(adminTokenFile, of: "admin-token-file")
    try checkMarker()
  }

  private func checkSecret(_ path: String?, of flag: String) throws(UsageError) {
    guard let path else { return }
    let secret: String
    do {
      secret = try SecretFile.read(path)
    } catch {
      throw refusal(of: flag, error.description)
    }
    if secret.isEmpty { throw refusal(of: flag, "the file is empty") }
  }

  private func checkMarker() throws(UsageError) {
    guard let drainMarker else { return }
    if drainMarker.hasSuffix("/") {
      throw refusal(of: "drain-marker", "names a directory; give a file in it")
    }
    let directory = drainMarker.lastIndex(of: "/").map { drainMarker[...$0] } ?? "."
    if access(String(directory), W_OK | X_OK) != 0 {
      let why = errno == ENOENT ? "the directory does not exist" : "the directory is not writable"
      throw refusal(of: "drain-marker", "\(why); mount an emptyDir there or choose another path")
    }
  }
}
