// A service that imports the pool has the words it speaks in: parameters and results, faults and snapshots.
@_exported public import PoolCore
@_exported public import Postgres
