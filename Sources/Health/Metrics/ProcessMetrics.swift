import Glibc

/// What the kernel counts for this process. Nil: it does not say, such as where `/proc` is hidden.
struct ProcessMetrics: Sendable {
  var cpu: Double?
  var openFiles: Double?
  var maxFiles: Double?
  var virtualMemory: Double?
  var maxVirtualMemory: Double?
  var residentMemory: Double?
  var threads: Double?
  /// Seconds since 1970.
  var started: Double?

  init() {}

  /// As it is now. `started` is what `startTime` said once: told anew, it would move with the calendar.
  init(started: Double?) {
    self.started = started
    var time = timespec()
    if clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 { cpu = Self.seconds(time) }
    openFiles = Self.openDescriptors.map(Double.init)
    maxFiles = Self.limit(RLIMIT_NOFILE)
    maxVirtualMemory = Self.limit(RLIMIT_AS)
    let fields = Self.statistics
    threads = Self.number(20, of: fields)
    virtualMemory = Self.number(23, of: fields)
    residentMemory = Self.number(24, of: fields).map { $0 * Double(sysconf(Int32(_SC_PAGESIZE))) }
  }

  /// When the process was started, in seconds since 1970.
  static func startTime() -> Double? {
    let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
    var (sinceBoot, calendar) = (timespec(), timespec())
    guard ticks > 0, let started = number(22, of: statistics),
      clock_gettime(CLOCK_BOOTTIME, &sinceBoot) == 0, clock_gettime(CLOCK_REALTIME, &calendar) == 0
    else { return nil }
    // No more exact than the kernel's ticks.
    return ((seconds(calendar) - seconds(sinceBoot) + started / ticks) * 100).rounded() / 100
  }

  private static func seconds(_ time: timespec) -> Double { Double(time.tv_sec) + Double(time.tv_nsec) / 1e9 }

  private static func limit(_ resource: __rlimit_resource) -> Double? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0, limit.rlim_cur != rlim_t.max else {
      return nil
    }
    return Double(limit.rlim_cur)
  }

  private static var openDescriptors: Int? {
    guard let directory = opendir("/proc/self/fd") else { return nil }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    // Without `.`, `..` and the one that reads them.
    return max(0, count - 3)
  }

  /// The fields of `/proc/self/stat` from the third on (proc(5)): the second, the program's name, may hold anything.
  private static var statistics: [Substring] {
    let file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 1024)
    let count = read(file, &buffer, buffer.count)
    guard count > 0 else { return [] }
    let text = String(decoding: buffer.prefix(count), as: UTF8.self)
    guard let end = text.lastIndex(of: ")") else { return [] }
    return text[text.index(after: end)...].split(separator: " ")
  }

  /// A field by its number in proc(5).
  private static func number(_ number: Int, of fields: [Substring]) -> Double? {
    let index = number - 3
    return fields.indices.contains(index) ? Double(fields[index]) : nil
  }
}
