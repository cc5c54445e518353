import Foundation

extension TestPostgres {
  /// SIGKILL to the postmaster and every process of it; returns when they are gone. `start` recovers.
  public func kill() async {
    await blocking { self.killBlocking() }
  }

  /// SIGSTOP to every process: TCP connects still succeed (the kernel's backlog), nothing is answered.
  public func suspend() async {
    await blocking {
      // The postmaster first, so that no child is born in between.
      guard let pid = self.pid else { return }
      suspendProcess(pid)
      for child in childProcesses(of: pid) { suspendProcess(child) }
    }
  }

  /// SIGCONT to every process.
  public func resume() async {
    await blocking { self.resumeBlocking() }
  }

  /// The pids of all server processes but the postmaster.
  public var backends: [pid_t] { pid.map(childProcesses) ?? [] }

  func resumeBlocking() {
    guard let pid else { return }
    for child in childProcesses(of: pid) { Glibc.kill(child, SIGCONT) }
    Glibc.kill(pid, SIGCONT)
  }

  func killBlocking() {
    guard let postmaster = state.withLock({ $0.postmaster }), postmaster.isRunning else { return }
    suspendProcess(postmaster.pid)
    // The children first, while the stopped postmaster cannot start others: one that sees it dead would still tell
    // its client so.
    let children = childProcesses(of: postmaster.pid)
    for child in children { Glibc.kill(child, SIGKILL) }
    postmaster.kill()
    // Orphans are reaped by init in its own time; a zombie holds nothing any more.
    _ = eventuallyBlocking(within: .seconds(10)) { children.allSatisfy(isGone) }
  }

  /// A killed server leaves its System V segment (56 bytes); line 7 of the pid file is `key id`.
  func removeSharedMemory() {
    guard let file = try? String(contentsOfFile: dataDirectory + "/postmaster.pid", encoding: .utf8) else {
      return
    }
    let lines = file.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count > 6, let segment = lines[6].split(separator: " ").last.flatMap({ Int32($0) }) else {
      return
    }
    shmctl(segment, IPC_RMID, nil)
  }
}

/// The children of a process, whichever of its threads made them.
public func childProcesses(of parent: pid_t) -> [pid_t] {
  let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(parent)/task")) ?? []
  return tasks.flatMap { task in
    let text = (try? String(contentsOfFile: "/proc/\(parent)/task/\(task)/children", encoding: .utf8)) ?? ""
    return text.split(whereSeparator: \.isWhitespace).compactMap { pid_t($0) }
  }
}

/// It has ended; it may still be listed as a zombie.
func isGone(_ pid: pid_t) -> Bool {
  guard let line = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
    let name = line.lastIndex(of: ")")
  else { return true }
  return line[name...].dropFirst(2).first == "Z"
}

/// SIGSTOP, and waits until it has taken effect: one thread of the process takes the signal, and until that has its turn
/// on a busy machine, the others go on.
func suspendProcess(_ pid: pid_t) {
  kill(pid, SIGSTOP)
  let end = ContinuousClock.now + .seconds(5)
  while ContinuousClock.now < end, !isSuspended(pid) { usleep(200) }
}

private func isSuspended(_ pid: pid_t) -> Bool {
  let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
  return tasks.allSatisfy { task in
    guard let stat = try? String(contentsOfFile: "/proc/\(pid)/task/\(task)/stat", encoding: .utf8) else {
      return true
    }
    // After the name, which is in parentheses and may hold anything.
    let state = stat.split(separator: ")").last?.split(separator: " ").first
    return state == "T" || state == "Z"
  }
}
