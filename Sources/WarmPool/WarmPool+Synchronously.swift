import Postgres

/// What is called on the loop, many times a second, by code that is not isolated to the pool. As with
/// `assumeIsolated`, it is checked that this is the loop; but that allocates twice at every call.
protocol SynchronousPool: AnyObject {
  func ask(for caller: Acquisition, _ waiting: Acquisition.Waiting)
  func hear(_ answer: Connection.Answer, on pooled: PooledConnection)
  func release(_ loan: Loan)
  func publishIfNeeded()
}

extension WarmPool: @preconcurrency SynchronousPool {
  nonisolated var synchronously: any SynchronousPool { self }
}
