import EventLoop

/// What is called on the loop, many times a second, by code that is not isolated to the connection. As with
/// `assumeIsolated`, it is checked that this is the loop; but that allocates twice at every call.
protocol SynchronousConnection: AnyObject {
  var transactionStatus: Connection.TransactionStatus { get }
  func socketIsReady(_ readiness: Readiness)
  func begin(_ sql: String, _ parameters: [Parameter], for holder: UInt64, _ asker: Connection.Asker)
}

extension Connection: @preconcurrency SynchronousConnection {
  nonisolated var synchronously: any SynchronousConnection { self }

  /// On the loop.
  package nonisolated var transactionStatusNow: TransactionStatus { synchronously.transactionStatus }
}
