import Foundation

extension TestPostgres {
  /// What is wrong with a server certificate, if anything. All are signed by the same test authority.
  public enum Certificate: String, Sendable, CaseIterable {
    /// For `localhost` and the address of `tcpURL`.
    case valid
    /// Ended yesterday.
    case expired
    /// For another host's name.
    case wrongHost
  }

  /// The authority's certificate, for `sslrootcert`. It exists after the first `enableTLS`.
  public var authorityPath: String { directory.file("ca.crt") }

  /// Gives the server a certificate and turns TLS on, or exchanges the certificate; new sessions have it when this
  /// returns. Sessions without TLS stay possible.
  public func enableTLS(_ certificate: Certificate = .valid) async throws {
    if !FileManager.default.fileExists(atPath: authorityPath) {
      try await runChecked(
        ["openssl", "req", "-x509", "-nodes", "-days", "3650", "-subj", "/CN=Test authority"] + Self.newKey
          + [
            "-keyout", directory.file("ca.key"), "-out", authorityPath,
          ])
    }
    let name = directory.file(certificate.rawValue)
    let names = certificate == .wrongHost ? "DNS:elsewhere.invalid" : "DNS:localhost,IP:\(address)"
    try await runChecked(
      ["openssl", "req", "-nodes", "-subj", "/CN=Test server", "-addext", "subjectAltName=\(names)"]
        + Self.newKey
        + ["-keyout", name + ".key", "-out", name + ".csr"])
    try await runChecked(
      [
        "openssl", "x509", "-req", "-in", name + ".csr", "-CA", authorityPath, "-CAkey",
        directory.file("ca.key"),
        "-CAcreateserial", "-copy_extensions", "copy", "-days", certificate == .expired ? "-1" : "30",
        "-out", name + ".crt",
      ])
    for file in [name + ".key", name + ".crt"] {
      chmod(file, 0o600)
      installation.giveAway(file)
    }
    chmod(authorityPath, 0o644)
    let settings = ["ssl": "on", "ssl_cert_file": name + ".crt", "ssl_key_file": name + ".key"]
    if isRunning {
      try await reload(settings)
    } else {
      state.withLock { $0.settings.merge(settings) { $1 } }
    }
  }

  private static let newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
}
