@_exported public import FaultyNetwork
