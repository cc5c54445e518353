import WarmPool

/// Compiles: the lease stays in its scope, and may be handed on by those who borrow it.
func used(_ pool: WarmPool) async throws -> String? {
  try await pool.withTransaction { db in
    try await db.withTransaction { inner in try await one(inner) }
  }
}

func one(_ db: borrowing Lease) async throws -> String? { try await db.query("SELECT 1")[0, 0] }
