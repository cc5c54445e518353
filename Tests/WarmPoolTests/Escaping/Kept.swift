import WarmPool

/// Must not compile: the lease would outlive its scope.
func kept(_ pool: WarmPool) async throws -> String? {
  var escaped: Lease?
  try await pool.withConnection { db in escaped = db }
  return try await escaped?.query("SELECT 1")[0, 0]
}
