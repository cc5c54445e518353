import Support
import Testing

/// The page of the built executable before a real PostgreSQL.
@Suite(
  "the status page of a running sidecar", .serialized, .timeLimit(.minutes(5)),
  .enabled(if: Chromium.isInstalled, "needs Debian's chromium, which scripts/test page installs"))
struct SidecarPageTests {
  @Test("follows it from ready over a failing probe and a drain to its end")
  func life() async throws {
    try await withPostgres { pg in
      try await pg.sql(
        """
        CREATE TABLE broken (is_so bool);
        CREATE FUNCTION probe() RETURNS int LANGUAGE plpgsql AS $$
          BEGIN
            IF EXISTS (SELECT FROM broken) THEN RAISE EXCEPTION '<img src=x onerror=alert(1)> is broken'; END IF;
            RETURN 1;
          END $$;
        """)
      let (health, admin) = (freePort(), freePort())
      let sidecar = try ServedProcess([
        "serve", "--listen", "127.0.0.1:\(health)", "--admin-listen", "127.0.0.1:\(admin)", "--log-format",
        "json",
        "--database-url", pg.tcpURL(), "--probe-query", "SELECT probe()", "--probe-interval", "1s",
        "--drain-delay",
        "2s",
      ])
      #expect(await sidecar.logLine(containing: #""message":"listening""#, within: .seconds(30)) != nil)
      try await withChromium { browser in
        try await browser.open("http://localhost:\(admin)/")
        #expect(await browser.becomes("document.body.dataset.state === 'ready'"))
        #expect(await browser.becomes("last.history.idle.includes(2)"))
        #expect(try await browser.text("settings").contains("<img") == false)

        try await pg.sql("INSERT INTO broken VALUES (true)")
        #expect(await browser.becomes("document.body.dataset.state === 'unready'"))
        let reasons = try await browser.text("reasons")
        #expect(reasons.contains("P0001") && reasons.contains("<img src=x onerror=alert(1)> is broken"))
        #expect(reasons.contains("Correct --probe-query"))
        try await pg.sql("DELETE FROM broken")
        #expect(await browser.becomes("document.body.dataset.state === 'ready'"))

        // Stuck, and then it is not there: neither looks alive.
        sidecar.suspend()
        #expect(await browser.becomes("document.body.dataset.state === 'gone'"))
        #expect(try await browser.text("since").contains("the sidecar does not answer"))
        sidecar.resume()
        #expect(await browser.becomes("document.body.dataset.state === 'ready'"))

        _ = try await HTTPProbe(port: admin).request("POST", "/drain?wait=0")
        #expect(await browser.becomes("document.body.dataset.state === 'draining'"))
        #expect(await browser.becomes("document.getElementById('progress').innerText.includes('time left')"))
        #expect(await browser.becomes("document.body.dataset.state === 'drained'"))
        #expect(try await browser.text("progress").contains("2 connections"))
        #expect(browser.complaints.isEmpty, "\(browser.complaints)")

        await sidecar.kill()
        #expect(await browser.becomes("document.body.dataset.state === 'gone'"))
        #expect(try await browser.text("since").contains("it was not ready: drained"))
      }
    }
  }
}
