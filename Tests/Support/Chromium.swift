import Foundation
import Synchronization

/// A headless Chromium with one page, driven over its DevTools protocol: messages of JSON, each ended by a zero byte,
/// on the descriptors 3 and 4 (`--remote-debugging-pipe`).
public final class Chromium: Sendable {
  private struct State: Sendable {
    var lastID = 0
    var answers: [Int: JSONValue] = [:]
    var events: [JSONValue] = []
    var hasEnded = false
  }

  private let child: ChildProcess
  private let profile: TemporaryDirectory
  private let input: Int32
  private let state = Mutex(State())
  private let session = Mutex<String?>(nil)

  public static let isInstalled = FileManager.default.isExecutableFile(atPath: "/usr/bin/chromium")

  /// Starts it, and returns when its page can be told what to do.
  public static func started() async throws -> Chromium {
    let browser = try Chromium()
    let target = try await browser.call("Target.createTarget", #"{"url":"about:blank"}"#)["targetId"].string
    let attached = try await browser.call(
      "Target.attachToTarget", #"{"targetId":"\#(target ?? "")","flatten":true}"#)
    browser.session.withLock { $0 = attached["sessionId"].string }
    for domain in ["Page", "Runtime", "Log", "Network"] { try await browser.call("\(domain).enable") }
    return browser
  }

  private init() throws {
    profile = try TemporaryDirectory()
    let (childReads, writes) = Descriptors.pipe()
    let (reads, childWrites) = Descriptors.pipe()
    let null = Glibc.open("/dev/null", O_WRONLY | O_CLOEXEC)
    defer { for end in [childReads, childWrites, null] { Glibc.close(end) } }
    input = writes
    // Without a sandbox, because tests may run as root, where it has none.
    child = try ChildProcess(
      [
        "sh", "-c", #"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#, "sh", "chromium", "--headless=new",
        "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
        "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
        "--user-data-dir=\(profile.path)", "about:blank",
      ],
      input: childReads, output: childWrites, errors: null)
    Thread.detachNewThread { [self] in read(from: reads) }
  }

  /// Ends it.
  public func close() async {
    await blocking {
      self.child.kill()
      Glibc.close(self.input)
      self.profile.remove()
    }
  }

  private func read(from pipe: Int32) {
    var partial: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = Glibc.read(pipe, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      partial += buffer[..<count]
      guard partial.contains(0) else { continue }
      var pieces = partial.split(separator: 0, omittingEmptySubsequences: false)
      partial = Array(pieces.removeLast())
      for piece in pieces {
        guard let message = try? JSONValue(String(decoding: piece, as: UTF8.self)) else { continue }
        state.withLock { state in
          if let id = message["id"].int { state.answers[id] = message } else { state.events.append(message) }
        }
      }
    }
    Glibc.close(pipe)
    state.withLock { $0.hasEnded = true }
  }

  /// Calls a method of the protocol with parameters in JSON, and returns its result.
  @discardableResult
  public func call(
    _ method: String, _ parameters: String = "{}", within limit: Duration = .seconds(60)
  ) async throws -> JSONValue {
    let id = state.withLock { state in
      state.lastID += 1
      return state.lastID
    }
    let session = session.withLock { $0 }.map { #","sessionId":"\#($0)""# } ?? ""
    let bytes = Array(#"{"id":\#(id),"method":"\#(method)","params":\#(parameters)\#(session)}"#.utf8) + [0]
    var written = 0
    while written < bytes.count {
      let count = bytes[written...].withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
      guard count > 0 else { throw FixtureError("Chromium does not listen: \(errnoText())") }
      written += count
    }
    var answer: JSONValue?
    _ = await eventually(within: limit, every: .milliseconds(2)) {
      state.withLock { state in
        answer = state.answers.removeValue(forKey: id)
        return answer != nil || state.hasEnded
      }
    }
    guard let answer else { throw FixtureError("Chromium gave no answer to \(method)") }
    guard answer["error"] == .null else { throw FixtureError("\(method): \(answer["error"])") }
    return answer["result"]
  }

  // MARK: - The page

  public func open(_ url: String) async throws {
    let result = try await call("Page.navigate", #"{"url":"\#(url)"}"#)
    guard result["errorText"] == .null else { throw FixtureError("\(url): \(result["errorText"])") }
  }

  /// The value of a JavaScript expression; of a promise, what it becomes.
  @discardableResult
  public func evaluate(_ script: String) async throws -> JSONValue {
    let text = String(decoding: try JSONEncoder().encode(script), as: UTF8.self)
    let result = try await call(
      "Runtime.evaluate", #"{"expression":\#(text),"returnByValue":true,"awaitPromise":true}"#)
    guard result["exceptionDetails"] == .null else {
      throw FixtureError("\(script): \(result["exceptionDetails"]["exception"]["description"])")
    }
    return result["result"]["value"]
  }

  /// Whether the expression comes to be true.
  public func becomes(_ script: String, within limit: Duration = .seconds(30)) async -> Bool {
    await eventually(within: limit, every: .milliseconds(50)) { try await evaluate(script).bool == true }
  }

  public func resize(width: Int, height: Int, dark: Bool) async throws {
    try await call(
      "Emulation.setDeviceMetricsOverride",
      #"{"width":\#(width),"height":\#(height),"deviceScaleFactor":1,"mobile":false}"#)
    try await call(
      "Emulation.setEmulatedMedia",
      #"{"features":[{"name":"prefers-color-scheme","value":"\#(dark ? "dark" : "light")"}]}"#)
  }

  /// The whole page as a picture.
  public func screenshot() async throws -> Data {
    let picture = try await call("Page.captureScreenshot", #"{"captureBeyondViewport":true}"#)["data"].string
    guard let data = picture.flatMap({ Data(base64Encoded: $0) }) else { throw FixtureError("no picture") }
    return data
  }

  /// What the page has written to its console, exceptions that nobody caught, and what the browser has refused it:
  /// such as what its Content-Security-Policy forbids.
  public var complaints: [String] {
    state.withLock { $0.events }.compactMap { event in
      switch event["method"].string {
      case "Log.entryAdded":
        [event["params"]["entry"]["source"], event["params"]["entry"]["text"]].compactMap(\.string)
          .joined(separator: ": ")
      case "Runtime.consoleAPICalled": "console: \(event["params"]["args"])"
      case "Runtime.exceptionThrown": "exception: \(event["params"]["exceptionDetails"])"
      default: nil
      }
    }
  }

  /// Whether the browser has said so.
  public func hasSeen(_ event: String) -> Bool {
    state.withLock { $0.events.contains { $0["method"].string == event } }
  }

  public func forgetEvents(_ event: String) {
    state.withLock { $0.events.removeAll { $0["method"].string == event } }
  }

  /// How many requests the page has made to addresses that end so.
  public func requests(to end: String) -> Int {
    state.withLock { $0.events }.count {
      $0["method"].string == "Network.requestWillBeSent"
        && $0["params"]["request"]["url"].string?.hasSuffix(end) == true
    }
  }
}

/// Runs `body` with a browser of its own, and ends it afterwards.
public func withChromium<Result>(_ body: (Chromium) async throws -> Result) async throws -> Result {
  let browser = try await Chromium.started()
  do {
    let result = try await body(browser)
    await browser.close()
    return result
  } catch {
    await browser.close()
    throw error
  }
}
