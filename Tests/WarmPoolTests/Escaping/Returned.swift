import WarmPool

/// Must not compile: the lease would outlive its scope.
func returned(_ pool: WarmPool) async throws -> String? {
  let escaped = try await pool.withTransaction { db -> Lease in db }
  return try await escaped.query("SELECT 1")[0, 0]
}
