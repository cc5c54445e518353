import Foundation
import PoolCore
import Support
import Testing

@testable import Health

/// With `WARMGATE_TEST_SCREENSHOTS=FOLDER`, every state is left there as pictures.
@Suite(
  "the status page in a browser", .serialized, .timeLimit(.minutes(5)),
  .enabled(if: Chromium.isInstalled, "needs Debian's chromium, which scripts/test page installs"))
struct PageTests {
  @Test("says in every state what the state is and what to do, on a phone and a desk, by day and by night")
  func states() async throws {
    try await withChromium { browser in
      for scene in Scene.all {
        let page = try ShownPage(scene.snapshot)
        for (name, width, dark) in [("phone", 360, true), ("desk", 1280, false), ("narrow", 320, false)] {
          try await browser.resize(width: width, height: 800, dark: dark)
          try await browser.open(page)
          #expect(try await browser.state == scene.state, "\(scene)")
          #expect(try await browser.text("headline") == scene.headline, "\(scene)")
          #expect(
            try await browser.evaluate("document.title").string
              == "\(scene.headline) · warmgate/shop-7d9c5bd5-x2x9k-3fa2c1")
          #expect(try await browser.evaluate(Readability.poorContrast) == .array([]), "\(scene), \(name)")
          #expect(try await browser.evaluate(Readability.tooWide) == .array([]), "\(scene), \(name)")
          #expect(try await browser.evaluate(Readability.foreign) == .array([]), "\(scene), \(name)")
          #expect(
            try await browser.evaluate("document.documentElement.scrollWidth").int == width,
            "\(scene), \(name)")
          let observation = scene.snapshot(monotonicNow())
          let verdict = observation.verdict(at: monotonicNow())
          let reasons = try await browser.text("reasons")
          for reason in verdict.reasons {
            if let advice = reason.advice { #expect(reasons.contains(advice), "\(scene)") }
          }
          try await keep(browser, "\(scene)-\(name)")
        }
      }
      #expect(browser.complaints.isEmpty, "\(browser.complaints)")
    }
  }

  @Test("shows what a hostile server said as text, cut where it goes on for ever")
  func hostile() async throws {
    let page = try ShownPage(Scene.unready.snapshot)
    try await withChromium { browser in
      try await browser.open(page)
      for id in ["reasons", "errors", "timeline"] {
        let text = try await browser.evaluate("document.getElementById('\(id)').textContent").string ?? ""
        #expect(text.contains("<script>document.title='taken'</script><img src=x onerror="), "\(id)")
        #expect(text.contains("(the rest is in /status)"), "\(id)")
        #expect(!text.contains("\u{202E}") && !text.contains("\u{7}"), "\(id)")
      }
      #expect(try await browser.text("leaks").contains("<b>bold</b>"))
      #expect(browser.complaints.isEmpty, "\(browser.complaints)")
      // And if our own script ever made markup of text, the browser would refuse.
      await #expect(throws: (any Error).self) {
        try await browser.evaluate("document.body.innerHTML = '<img src=x>'")
      }
    }
  }

  @Test("follows the instance by itself, and tells a screen reader of changes of state only")
  func follows() async throws {
    let page = try ShownPage(Scene.stalled.snapshot)
    try await withChromium { browser in
      try await browser.open(page)
      try await browser.evaluate(
        """
        window.told = [];
        new MutationObserver(() => told.push(document.getElementById("announced").textContent))
          .observe(document.getElementById("announced"), { childList: true, characterData: true, subtree: true });
        """)
      // The same state in other words, twice: nobody is told.
      for beat in [4200, 5200] {
        page.show { now in
          var snapshot = Scene.stalled.snapshot(now)
          snapshot.taken = now - .milliseconds(beat)
          return snapshot
        }
        #expect(
          await browser.becomes(
            "document.getElementById('reasons').innerText.includes('stalled \(beat / 1000).')"))
      }
      page.show(Scene.ready.snapshot)
      #expect(await browser.becomes("document.body.dataset.state === 'ready'"))
      page.isAsked(from: .v4(0x0A00_0007), times: 3)
      page.isAsked(from: .v4(0x0A00_0008), times: 3)
      page.show(Scene.closing.snapshot)
      #expect(await browser.becomes("document.body.dataset.state === 'draining'"))
      #expect(try await browser.text("progress").contains("2 leases"))
      let noticed =
        "noticed([{state: 'told'}, {state: 'active', address: '10.0.0.8', dialect: 'http', told: 1}])"
      #expect(try await browser.evaluate(noticed).string == "1 told; not yet: 10.0.0.8 (http, told 1 times)")
      #expect(await browser.becomes("last.probers.length === 2"))
      #expect(
        try await browser.evaluate("told")
          == .array([.string("ready"), .string("not ready: draining. draining")]))
    }
  }

  @Test("says at once that nobody answers any more, and goes on when somebody does")
  func gone() async throws {
    let page = try ShownPage(Scene.ready.snapshot)
    try await withChromium { browser in
      for (name, width, dark) in [("phone", 360, true), ("desk", 1280, false)] {
        try await browser.resize(width: width, height: 800, dark: dark)
        try await browser.open(page)
        page.stop()
        #expect(await browser.becomes("document.body.dataset.state === 'gone'", within: .seconds(10)))
        #expect(try await browser.text("headline") == "no answer")
        #expect(try await browser.text("since").contains("it was ready."))
        #expect(try await browser.evaluate("document.title.startsWith('no answer')").bool == true)
        #expect(try await browser.text("announced").hasPrefix("no answer"))
        #expect(try await browser.evaluate(Readability.poorContrast) == .array([]))
        try await keep(browser, "no answer-\(name)")
        try page.start()
        #expect(await browser.becomes("document.body.dataset.state === 'ready'", within: .seconds(20)))
      }
      // The browser itself says that it could not connect; nothing else is said.
      #expect(browser.complaints.allSatisfy { $0.hasPrefix("network:") }, "\(browser.complaints)")
    }
  }

  @Test("without JavaScript has state, reason and what to do, and loads itself again")
  func withoutScript() async throws {
    let page = try ShownPage(Scene.warming.snapshot)
    try await withChromium { browser in
      try await browser.call("Emulation.setScriptExecutionDisabled", #"{"value":true}"#)
      try await browser.resize(width: 360, height: 800, dark: false)
      try await browser.open(page.url)
      #expect(await browser.becomes("document.readyState === 'complete'"))
      let text = try await browser.evaluate("document.body.innerText").string ?? ""
      for words in [
        "not ready: warming", "28P01", "Check user and password", "1/10 connections", "Without JavaScript",
      ] {
        #expect(text.contains(words), "\(words)")
      }
      #expect(!text.contains("Last errors"))
      try await keep(browser, "without JavaScript")
      page.show(Scene.ready.snapshot)
      #expect(await browser.becomes("document.body.dataset.state === 'ready'"))
    }
  }

  @Test("asks nothing while nobody looks at it, and is up to date when somebody does again")
  func hidden() async throws {
    let page = try ShownPage(Scene.ready.snapshot)
    try await withChromium { browser in
      try await browser.open(page)
      // What a browser does with a tab in the background.
      try await browser.evaluate(
        """
        var away = true;
        Object.defineProperty(document, "hidden", { get: () => away });
        document.dispatchEvent(new Event("visibilitychange"));
        """)
      #expect(await browser.becomes("!asking"))
      let before = browser.requests(to: "/status")
      page.show(Scene.drained.snapshot)
      try await Task.sleep(for: .seconds(3))
      #expect(browser.requests(to: "/status") == before)
      try await browser.evaluate("away = false; document.dispatchEvent(new Event('visibilitychange'))")
      #expect(await browser.becomes("document.body.dataset.state === 'drained'"))
    }
  }

  @Test("has names and roles for what it shows")
  func roles() async throws {
    let page = try ShownPage(Scene.busy.snapshot)
    try await withChromium { browser in
      try await browser.open(page)
      let tree = try await browser.call("Accessibility.getFullAXTree")["nodes"].array
        .filter { $0["ignored"].bool != true }
      func names(_ role: String) -> [String] {
        tree.filter { $0["role"]["value"].string == role }.map { $0["name"]["value"].string ?? "" }
      }
      #expect(names("main").count == 1)
      #expect(names("banner").count == 1)
      #expect(names("contentinfo").count == 1)
      #expect(
        names("heading") == [
          "Warmgate warmgate/shop-7d9c5bd5-x2x9k-3fa2c1", "ready", "Pool", "Probe", "Last errors", "Timeline",
          "Logins and the server", "Leaks", "Since the start", "Settings in force",
        ])
      #expect(names("region") == Array(names("heading").dropFirst()))
      let pictures = names("image") + names("img")
      #expect(pictures.count == 3)
      #expect(
        pictures.contains(
          "Connections in the last 5 minutes: now 0 idle and 10 in use of at most 10, at most 10 in use at once"
        ))
      #expect(pictures.contains("Callers that wait, in the last 5 minutes: now 17, at most 16"))
      #expect(names("status").count == 1)
      #expect(try await browser.evaluate("document.documentElement.lang").string == "en")
    }
  }

  @Test("is after twenty minutes as large as after five")
  func memory() async throws {
    let once = Scene.ready.snapshot(monotonicNow())
    let page = try ShownPage { now in
      var snapshot = once
      snapshot.taken = now
      snapshot.readyUntil = now + .seconds(6)
      return snapshot
    }
    try await withChromium { browser in
      try await browser.open(page)
      func pass(minutes: Int) async throws -> (asked: Int, heap: Double, nodes: Int) {
        let before = browser.requests(to: "/status")
        // The page's timers run as fast as they can; its requests are real.
        try await browser.call(
          "Emulation.setVirtualTimePolicy",
          #"{"policy":"pauseIfNetworkFetchesPending","budget":\#(minutes * 60_000)}"#)
        #expect(
          await eventually(within: .seconds(120)) { browser.hasSeen("Emulation.virtualTimeBudgetExpired") })
        browser.forgetEvents("Emulation.virtualTimeBudgetExpired")
        try await browser.call("HeapProfiler.collectGarbage")
        let heap = try await browser.call("Runtime.getHeapUsage")["usedSize"].double ?? 0
        let nodes = try await browser.call("Memory.getDOMCounters")["nodes"].int ?? 0
        return (browser.requests(to: "/status") - before, heap, nodes)
      }
      let first = try await pass(minutes: 5)
      let second = try await pass(minutes: 15)
      #expect(first.asked > 150 && second.asked > 450)
      #expect(second.heap < first.heap * 1.3 + 200_000, "\(first) \(second)")
      #expect(second.nodes < first.nodes + 100, "\(first) \(second)")
    }
  }

  private func keep(_ browser: Chromium, _ name: String) async throws {
    guard let folder = ProcessInfo.processInfo.environment["WARMGATE_TEST_SCREENSHOTS"] else { return }
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let file = name.replacingOccurrences(of: ",", with: "").replacingOccurrences(of: " ", with: "-")
    try await browser.screenshot().write(to: URL(fileURLWithPath: "\(folder)/\(file).png"))
  }
}
