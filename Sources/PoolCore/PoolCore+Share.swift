/// Sharing the room (`elasticMin`): when the fleet cannot all have its floor, each instance settles for an equal share,
/// is ready on that, as degraded, and grows again when there is room.
///
/// Nobody hands the shares out. Each instance reads how many sessions the fleet has, how many instances it has, told apart
/// by their application names, and how many slots are free: from that all work out the same share. One slot is left out of
/// account, so that the next instance gets in, is seen, and the shares become smaller for it.
extension PoolCore {
  /// From one reading to the next, at least.
  static let sharesAnewEvery: Duration = .seconds(10)

  /// How many connections it wants for itself at this moment: the floor, or its share of the room.
  @inline(__always) var floor: Int { min(headroom.share ?? .max, settings.minConnections) }

  /// The server has answered.
  mutating func takeShare(of room: ServerRoom?, at now: Instant) {
    guard settings.elasticMin else { return }
    guard let room, let fleet = room.fleet else { return headroom.share = nil }
    let equal = (fleet.sessions + room.free - 1) / max(fleet.instances, 1)
    guard equal < settings.minConnections else {
      headroom.share = nil
      return
    }
    // Not more than there is: others may hold more than their share still.
    headroom.share = max(1, min(equal, members.current + room.free - 1))
    if members.current > floor, alarms.giveBack == nil {
      alarms.giveBack = now + random.duration(from: .zero, to: Self.givesBackWithin)
    }
  }

  /// What is above the share is somebody else's; what is in use is given back when it is pruned.
  mutating func giveBackAboveShare() {
    for id in members.idle.prefix(max(0, members.current - floor)) { close(id, .noSlots) }
  }
}
