/// What a loop watches, by identifiers that are never used twice: an event that was read before its watch was cancelled
/// finds nobody, whatever has taken its place since.
///
/// Looking one up is done for every event, so an identifier is a place and the turn in using it, not a key to be hashed.
struct WatchTable {
  private struct Place {
    /// Never 0: the identifiers of the loop's own descriptors are smaller than any made of it.
    var turn: UInt32 = 1
    var watch: Watch?
  }

  private var places: [Place] = []
  private var free: [Int] = []

  /// The identifier that the next watch gets.
  mutating func reserve() -> UInt64 {
    let index: Int
    if let last = free.popLast() {
      index = last
    } else {
      index = places.count
      places.append(Place())
    }
    return UInt64(places[index].turn) << 32 | UInt64(index)
  }

  /// Nil for an identifier that has been given up.
  subscript(id: UInt64) -> Watch? {
    get { index(of: id).flatMap { places[$0].watch } }
    set { if let index = index(of: id) { places[index].watch = newValue } }
  }

  /// Gives the identifier up, whether it has a watch or not.
  mutating func remove(_ id: UInt64) {
    guard let index = index(of: id) else { return }
    places[index].watch = nil
    places[index].turn = places[index].turn == .max ? 1 : places[index].turn + 1
    free.append(index)
  }

  /// All of them.
  var all: some Sequence<Watch> { places.lazy.compactMap(\.watch) }

  private func index(of id: UInt64) -> Int? {
    let index = Int(id & 0xffff_ffff)
    return index < places.count && places[index].turn == UInt32(id >> 32) ? index : nil
  }
}
