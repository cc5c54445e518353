import Support
import Synchronization
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(5))) struct FallingBackExample {
  /// Last known prices, as a service may keep them.
  private final class Cache: Sendable {
    private let prices = Mutex<[Int: Int]>([:])
    subscript(item: Int) -> Int? {
      get { prices.withLock { $0[item] } }
      set { prices.withLock { $0[item] = newValue } }
    }
  }

  private func price(of item: Int, _ pool: WarmPool, _ cache: Cache) async throws -> Int? {
    // ----
    do {
      let price = try await pool.withConnection(timeout: .milliseconds(200)) { db in
        try await db.query("SELECT price FROM items WHERE id = $1", [Parameter(item)], as: Int.self).first
      }
      cache[item] = price
      return price
    } catch let error as PoolError where error.refusal != nil {
      return cache[item]  // nothing was sent to the database
    }
    // ----
  }

  private func price(of item: Int, _ db: borrowing Lease) async throws -> Int? {
    try await db.query("SELECT price FROM items WHERE id = $1", [Parameter(item)], as: Int.self).first
  }

  private func short(
    of item: Int, _ pool: WarmPool, _ lastKnownPrice: (_ of: Int) -> Int?
  ) async throws -> Int? {
    // ----
    do {
      return try await pool.withConnection(timeout: .milliseconds(200)) { db in
        try await price(of: item, db)
      }
    } catch let error as PoolError where error.refusal != nil {
      return lastKnownPrice(item)
    }
    // ----
  }

  private struct Page: Equatable { var items: [Int], recommended: [Int], isDegraded = false }

  private func page(_ pool: WarmPool) async throws -> Page {
    // ----
    let items = [1, 2, 3]  // from memory
    if pool.snapshot.breaker.state != .closed {
      return Page(items: items, recommended: [], isDegraded: true)
    }
    let recommended = try await pool.withConnection(timeout: .milliseconds(100)) { db in
      try await db.query("SELECT id FROM items ORDER BY price LIMIT 1", as: Int.self)
    }
    return Page(items: items, recommended: recommended)
    // ----
  }

  /// An answer to a client, as HTTP has it.
  private struct Answer: Equatable { var status: Int, retryAfter: Int? = nil, closes = false }

  // ----
  private func answer(_ work: () async throws -> Void) async throws -> Answer {
    do {
      try await work()
      return Answer(status: 200)
    } catch let error as PoolError {
      switch error.refusal {
      case .timedOut, .queueFull:  // alive, and too busy
        return Answer(status: 503, retryAfter: 1)
      case .circuitOpen(_, let nextAttempt):  // nothing to wait for
        let wait = nextAttempt ?? .zero
        return Answer(status: 503, retryAfter: Int(max(wait, .seconds(1)).components.seconds))
      case .draining:  // this instance goes away, another one serves
        return Answer(status: 503, retryAfter: 0, closes: true)
      case .noCapacity, nil:  // a wrong setting; a statement failed
        throw error
      }
    }
  }
  // ----

  private func ask(_ pool: WarmPool) async throws {
    try await pool.withConnection(timeout: .milliseconds(50)) { db in _ = try await db.query("SELECT 1") }
  }

  @Test("without the database: the last known price, a page without its best part, an honest rejection")
  func fallsBack() async throws {
    try await withPool { running, server in
      let (pool, cache) = (running.pool, Cache())
      try await server.sql(
        "CREATE TABLE items (id int, price int); INSERT INTO items VALUES (1, 700), (2, 9)")
      try await pool.warmed(within: .seconds(20))
      // Their patience is short, and this machine may be slow.
      #expect(await eventually { try await price(of: 1, pool, cache) == 700 })
      #expect(await eventually { try await short(of: 2, pool) { _ in nil } == 9 })
      #expect(await eventually { try await page(pool) == Page(items: [1, 2, 3], recommended: [2]) })
      #expect(await eventually { try await answer { try await ask(pool) } == Answer(status: 200) })

      await server.kill()
      #expect(await eventually { pool.snapshot.pool.open == 0 })
      #expect(try await price(of: 1, pool, cache) == 700)
      #expect(try await short(of: 2, pool) { _ in 8 } == 8)
      #expect(try await answer { try await ask(pool) }.status == 503)
      #expect(await eventually(within: .seconds(60)) { pool.snapshot.breaker.state != .closed })
      #expect(try await page(pool) == Page(items: [1, 2, 3], recommended: [], isDegraded: true))
      let refused = try await answer { try await ask(pool) }
      #expect(refused.status == 503 && refused.retryAfter ?? 0 >= 1 && !refused.closes)

      _ = try await pool.drain(within: .seconds(1))
      let draining = try await answer { try await ask(pool) }
      #expect(draining == Answer(status: 503, retryAfter: 0, closes: true))
    }
  }
}
