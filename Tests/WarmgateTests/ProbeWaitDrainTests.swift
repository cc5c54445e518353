import Foundation
import PoolCore
import Support
import Synchronization
import Testing

@testable import Health
@testable import warmgate

@Suite struct ProbeTests {
  @Test("probe says yes or no with the exit code and why in one line")
  func answers() async throws {
    let instance = try RunningInstance()
    func probe(_ question: String) async throws -> CommandResult {
      try await warmgate("probe", question, environment: instance.environment)
    }
    var result = try await probe("ready")
    #expect(result.status == .exited(1))
    #expect(result.output == "not ready: warming 1/2\n")
    #expect(result.errors == "")
    result = try await probe("startup")
    #expect(result.status == .exited(1))
    #expect(result.output.hasPrefix("not started: "))
    result = try await probe("live")
    #expect(result.status == .exited(0))
    #expect(result.output == "alive\n")
    instance.become(.ready)
    result = try await probe("ready")
    #expect(result.status == .exited(0))
    #expect(result.output == "ready\n")
    result = try await probe("startup")
    #expect(result.output == "started\n")
  }

  @Test("probe --json prints the whole verdict in one line")
  func json() async throws {
    let instance = try RunningInstance()
    let result = try await warmgate("probe", "ready", "--json", "--url", instance.url)
    #expect(result.status == .exited(1))
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    #expect(object["ready"] as? Bool == false)
    #expect(object["state"] as? String == "warming")
    #expect(result.output.filter { $0 == "\n" }.count == 1)
  }

  @Test("probe exits 3 when nothing listens, and says what to look at")
  func nothing() async throws {
    let port = freePort()
    let result = try await warmgate("probe", "ready", environment: ["WARMGATE_LISTEN": "[::]:\(port)"])
    #expect(result.status == .exited(3))
    #expect(result.output == "nothing listens at 127.0.0.1:\(port): is warmgate serve running?\n")
    let directory = try TemporaryDirectory()
    let socket = "unix:" + directory.file("none.sock")
    let missing = try await warmgate("probe", "live", "--url", socket, "--json")
    #expect(missing.status == .exited(3))
    #expect(missing.output == "{\"error\":\"nothing listens at \(socket): is warmgate serve running?\"}\n")
    let unknown = try await warmgate("probe", "live", "--url", "http://nope.invalid:8086")
    #expect(unknown.status == .exited(3))
    #expect(unknown.output.hasPrefix("nope.invalid:8086: the host name cannot be resolved: "))
  }

  @Test("a listener on the other IP family or on a Unix socket is found")
  func families() async throws {
    let directory = try TemporaryDirectory()
    let socket = try RunningInstance(listen: "unix:" + directory.file("health.sock"))
    let overSocket = try await warmgate("probe", "ready", environment: socket.environment)
    #expect(overSocket.output == "not ready: warming 1/2\n")
    // Of its own: what listens at the same port of 127.0.0.1 would be asked first.
    let port = freePort()
    guard let six = try? RunningInstance(listen: "[::1]:\(port)") else { return }
    defer { withExtendedLifetime(six) {} }
    let overSix = try await warmgate("probe", "ready", environment: ["WARMGATE_LISTEN": "[::]:\(port)"])
    #expect(overSix.output == "not ready: warming 1/2\n")
  }

  @Test("what listens there and is no sidecar is a no, with a hint")
  func strangers() async throws {
    let instance = try RunningInstance()
    let admin = try await warmgate("probe", "ready", "--url", instance.adminURL)
    #expect(admin.status == .exited(1))
    #expect(admin.output.contains("answered 404"))
    let stranger = try StrangeServer { _ in "SSH-2.0-OpenSSH_9.2\r\n" }
    let ssh = try await warmgate("probe", "ready", "--url", "http://127.0.0.1:\(stranger.port)")
    #expect(ssh.status == .exited(1))
    #expect(ssh.output == "127.0.0.1:\(stranger.port): the answer is not usable: it is not HTTP\n")
  }

  @Test("probe does not wait longer than its timeout for one that accepts and is silent")
  func silent() async throws {
    let server = try StrangeServer { _ in nil }
    let result = try await warmgate(
      "probe", "live", "--timeout", "200ms", "--url", "http://127.0.0.1:\(server.port)", within: .seconds(10))
    #expect(result.status == .exited(1))
    #expect(result.output == "127.0.0.1:\(server.port) has accepted the connection and does not answer\n")
  }

  @Test("probe asks with one plain request that a proxy understands")
  func request() async throws {
    let server = try StrangeServer { _ in
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nready\n\r\n0\r\n\r\n"
    }
    let result = try await warmgate("probe", "ready", "--url", "http://127.0.0.1:\(server.port)/gate/")
    #expect(result.output == "ready\n")
    let lines = try #require(server.requests.first).components(separatedBy: "\r\n")
    #expect(lines.first == "GET /gate/ready HTTP/1.1")
    #expect(lines.contains("Host: 127.0.0.1:\(server.port)"))
    #expect(lines.contains("Connection: close"))
  }
}

@Suite struct WaitTests {
  @Test("wait returns 0 as soon as the instance is ready, and says nothing into a pipe")
  func becomesReady() async throws {
    let instance = try RunningInstance()
    async let result = warmgate("wait", "--timeout", "30s", environment: instance.environment)
    try await Task.sleep(for: .milliseconds(300))
    instance.become(.ready)
    let finished = try await result
    #expect(finished.status == .exited(0))
    #expect(finished.output == "")
    #expect(finished.errors == "")
  }

  @Test("wait waits for a sidecar that does not listen yet")
  func startsLater() async throws {
    let port = freePort()
    async let result = warmgate("wait", "--timeout", "30s", "--url", "http://127.0.0.1:\(port)", "--json")
    try await Task.sleep(for: .milliseconds(300))
    let instance = try RunningInstance(listen: "127.0.0.1:\(port)")
    instance.become(.ready)
    let finished = try await result
    #expect(finished.status == .exited(0))
    #expect(finished.output.hasPrefix("{\"ready\":true,\"reason\":\"ready\",\"waited_seconds\":"))
  }

  @Test("wait gives up at its timeout: 1 with the reason if it is not ready, 3 if nothing ever listened")
  func givesUp() async throws {
    let instance = try RunningInstance()
    let notReady = try await warmgate("wait", "--timeout", "3s", environment: instance.environment)
    #expect(notReady.status == .exited(1))
    #expect(notReady.errors == "warmgate: not ready after 3s: warming 1/2\n")
    #expect(notReady.output == "")
    let port = freePort()
    let nothing = try await warmgate("wait", "--timeout", "300ms", "--url", "http://127.0.0.1:\(port)")
    #expect(nothing.status == .exited(3))
    #expect(
      nothing.errors
        == "warmgate: not ready after 300ms: nothing listens at 127.0.0.1:\(port): is warmgate serve running?\n"
    )
  }

  @Test("what the sidecar said counts for more than that its last answer was too late")
  func lastWord() async throws {
    final class Asked: Sendable { let count = Atomic(0) }
    let asked = Asked()
    let server = try StrangeServer { _ in
      guard asked.count.add(1, ordering: .relaxed).oldValue == 0 else { return nil }
      return "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 23\r\n\r\nnot ready: warming 1/2\n"
    }
    let result = try await warmgate("wait", "--timeout", "3s", "--url", "http://127.0.0.1:\(server.port)")
    #expect(result.status == .exited(1))
    #expect(result.errors == "warmgate: not ready after 3s: warming 1/2\n")
  }

  @Test("on a terminal wait shows what stands in the way, and how long it took")
  func progress() async throws {
    let instance = try RunningInstance()
    // script(1) gives its command a terminal, and writes to its own output what appears there.
    async let result = run([
      "script", "-qec", "\(ServedProcess.executable) wait --timeout 5m --url \(instance.url)", "/dev/null",
    ])
    #expect(await eventually(within: .seconds(120)) { instance.questions > 1 })
    instance.become(.ready)
    let finished = try await result
    #expect(finished.status == .exited(0))
    #expect(finished.output.contains("s  not ready: warming 1/2"))
    #expect(finished.output.contains("warmgate: ready after "))
  }
}

@Suite struct DrainTests {
  @Test("drain prints the counts and exits 0 when every lease finished, 1 when some were cut off")
  func counts() async throws {
    let instance = try RunningInstance()
    var result = try await warmgate("drain", environment: instance.environment)
    #expect(result.status == .exited(0))
    #expect(
      result.output == "drained: 3 leases finished, 0 cut off, 0 waiting refused, 5 connections closed\n")
    #expect(result.errors == "")
    instance.answerDrains(.done(RunningInstance.progress(cut: 1)))
    result = try await warmgate("drain", "--timeout", "20s", "--url", instance.adminURL)
    #expect(result.status == .exited(1))
    #expect(result.output.hasPrefix("drained: 2 leases finished, 1 cut off"))
    result = try await warmgate("drain", "--json", environment: instance.environment)
    #expect(result.status == .exited(1))
    #expect(result.output.contains("\"cut\":1"))
    #expect(instance.drains.map(\.timeout) == [nil, .seconds(20), nil])
    #expect(instance.drains.map(\.wait) == [true, true, true])
  }

  @Test("drain blocks until the drain is over; with --no-wait it returns at once")
  func blocks() async throws {
    let instance = try RunningInstance()
    instance.answerDrains(nil)
    let atOnce = try await warmgate("drain", "--no-wait", environment: instance.environment)
    #expect(atOnce.status == .exited(0))
    #expect(atOnce.output == "draining\n")
    #expect(instance.drains.map(\.wait) == [false])
    async let result = warmgate("drain", environment: instance.environment)
    #expect(await eventually { instance.drains.count == 2 })
    instance.finishWaitingDrains(.done(RunningInstance.progress(cut: 0)))
    #expect(try await result.status == .exited(0))
  }

  @Test("a drain that is refused or taken back, and a resume that is refused, exit 1 with the reason")
  func refused() async throws {
    let instance = try RunningInstance()
    instance.answerDrains(.takenBack)
    let drain = try await warmgate("drain", environment: instance.environment)
    #expect(drain.status == .exited(1))
    #expect(drain.errors == "warmgate: refused (409): the drain was taken back by a resume\n")
    instance.answerResume(.refused("ending: SIGTERM was received"))
    let resume = try await warmgate("resume", environment: instance.environment)
    #expect(resume.status == .exited(1))
    #expect(resume.errors == "warmgate: refused (409): ending: SIGTERM was received\n")
    instance.answerResume(.resumed)
    let resumed = try await warmgate("resume", environment: instance.environment)
    #expect(resumed.status == .exited(0))
    #expect(resumed.output == "resumed\n")
  }

  @Test("drain and resume exit 3 when nothing listens", arguments: ["drain", "resume"])
  func nothing(command: String) async throws {
    let port = freePort()
    let result = try await warmgate(command, environment: ["WARMGATE_ADMIN_LISTEN": "127.0.0.1:\(port)"])
    #expect(result.status == .exited(3))
    #expect(result.errors == "warmgate: nothing listens at 127.0.0.1:\(port): is warmgate serve running?\n")
  }

  @Test("drain works over a Unix socket and with the token of a file")
  func tokenAndSocket() async throws {
    let directory = try TemporaryDirectory()
    let token = try directory.write("token", "t0ken\n")
    let instance = try RunningInstance(admin: "unix:" + directory.file("admin.sock"), tokenFile: token)
    let without = try await warmgate("drain", environment: instance.environment)
    #expect(without.status == .exited(1))
    #expect(without.errors.hasPrefix("warmgate: refused (401): "))
    let with = try await warmgate("drain", "--token-file", token, environment: instance.environment)
    #expect(with.status == .exited(0))
    let fromEnvironment = try await warmgate(
      "drain", environment: instance.environment.merging(["WARMGATE_ADMIN_TOKEN_FILE": token]) { $1 })
    #expect(fromEnvironment.status == .exited(0))
    let other = try directory.write("other", "s3cret")
    let wrong = try await warmgate("drain", "--token-file", other, environment: instance.environment)
    #expect(wrong.status == .exited(1))
    #expect(!(wrong.errors + wrong.output).contains("s3cret"))
  }
}
