/// The candidate that was probably meant: the only one that begins with `word`, else the one with the fewest
/// letters to change. Nil if none is close.
func nearest(to word: String, among candidates: [String]) -> String? {
  if word.isEmpty { return nil }
  let beginning = candidates.filter { $0.hasPrefix(word) }
  if beginning.count == 1 { return beginning[0] }
  let limit = max(1, min(word.count, 12) / 3)
  return candidates.map { (name: $0, distance: editDistance(word, $0)) }
    .filter { $0.distance <= limit }
    .min { $0.distance < $1.distance }?.name
}

/// Letters to insert, remove, replace or swap with their neighbour to turn `a` into `b` (optimal string alignment).
func editDistance(_ a: String, _ b: String) -> Int {
  // The words come from a command line, which may be long; beyond this nothing is near.
  let a = Array(a.utf8.prefix(64))
  let b = Array(b.utf8.prefix(64))
  var before: [Int] = []
  var previous = Array(0...b.count)
  for i in a.indices {
    var row = [i + 1]
    for j in b.indices {
      var best = min(previous[j + 1] + 1, row[j] + 1, previous[j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, before[j - 1] + 1) }
      row.append(best)
    }
    before = previous
    previous = row
  }
  return previous[b.count]
}
