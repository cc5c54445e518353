import PoolCore

/// An instance's place in the fleet: the instance, and what the network between it and the server knows.
struct Seat<Instance: SimulatedInstance> {
  enum Stage {
    /// → stopping
    case running
    /// It has been told to end. → gone
    case stopping
    /// It has ended, and all its sessions.
    case gone
  }

  struct Link {
    enum State {
      /// Nothing of the login reaches the server. → gone
      case unheard
      /// The server has the login. → open, gone
      case connecting
      /// → cut, gone
      case open
      /// The server has ended the session; the instance has not heard of it. → gone
      case cut
    }

    var id: UInt32
    var state: State
    var since: Instant
  }

  var instance: Instance
  var stage = Stage.running
  var links: [Link] = []
  /// Those that are open as far as the instance knows.
  var open = 0
  var isReady = false
  var hasBeenReady = false
  /// It holds its logins because the server has no room for them.
  var saysNoSlots = false
  var hasNoNetwork = false
  /// Sessions that the instance gave up while it had no network: the server does not know yet.
  var unclosed = 0
  /// The earliest wake in the agenda.
  var wake: Instant?

  init(_ instance: Instance) { self.instance = instance }

  func index(of id: UInt32) -> Int? { links.firstIndex { $0.id == id } }
}
