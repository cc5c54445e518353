import Foundation

@testable import Support

/// A certificate authority of a test's own, in files.
struct Certificates {
  let directory: TemporaryDirectory
  var authority: String { directory.file("ca.crt") }

  init() async throws {
    directory = try TemporaryDirectory()
    // The server's user looks into it.
    chmod(directory.path, 0o755)
    try await openssl(
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
      "-subj", "/CN=Test CA", "-keyout", directory.file("ca.key"), "-out", authority)
  }

  /// A server's key and certificate for `name`, as settings of PostgreSQL.
  func server(_ name: String, days: Int = 2, for server: TestPostgres) async throws -> [String: String] {
    let stem = directory.file("\(name)\(days)")
    try await openssl(
      "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=\(name)",
      "-keyout", "\(stem).key", "-out", "\(stem).csr")
    try "subjectAltName=DNS:\(name)\n".write(toFile: "\(stem).ext", atomically: true, encoding: .utf8)
    try await openssl(
      "x509", "-req", "-in", "\(stem).csr", "-CA", authority, "-CAkey", directory.file("ca.key"),
      "-CAcreateserial", "-days", "\(days)", "-extfile", "\(stem).ext", "-out", "\(stem).crt")
    chmod("\(stem).key", 0o600)
    server.installation.giveAway("\(stem).key")
    return ["ssl": "on", "ssl_cert_file": "\(stem).crt", "ssl_key_file": "\(stem).key"]
  }

  private func openssl(_ arguments: String...) async throws {
    try await runChecked(["openssl"] + arguments)
  }
}
