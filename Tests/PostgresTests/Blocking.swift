import CLibpq

@testable import Postgres

/// A whole login on the calling thread; nil if it fails.
func connectBlocking(_ options: [Database.Option]) -> OpaquePointer? {
  guard let connection = Session.start(options, expandingDatabaseName: false) else { return nil }
  var status = PGRES_POLLING_WRITING
  while status != PGRES_POLLING_OK {
    if status == PGRES_POLLING_FAILED { return nil }
    status = PQconnectPoll(connection)
  }
  return connection
}

func runBlocking(_ sql: String, on session: Session) { PQclear(PQexec(session.connection, sql)) }
