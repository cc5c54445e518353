/// What is called on the loop, many times a second, by code that is not isolated to the pool. As with
/// `assumeIsolated`, it is checked that this is the loop; but that allocates twice at every call.
protocol PoolOnLoop: AnyObject {
  func ask(for caller: Acquisition, _ continuation: UnsafeContinuation<Acquisition.Grant, any Error>)
  func release(_ loan: Loan)
  func publishIfNeeded()
}

extension WarmPool: @preconcurrency PoolOnLoop {
  nonisolated var synchronously: any PoolOnLoop { self }
}
