import Glibc
import Synchronization

/// Ends and removes what a test run made, also when the run itself is killed.
///
/// A small `sh` reads what exists from a pipe whose only writer is this process. When the pipe closes, however
/// that came about, it kills the processes, then removes file systems, directories and network namespaces. (A parent-death
/// signal would not do: it fires when the *thread* that spawned the child ends.)
final class SafetyNet: Sendable {
  static let shared = SafetyNet()

  enum Thing: CustomStringConvertible {
    /// With all its children.
    case process(pid_t)
    case directory(String)
    case namespace(String)
    /// A mounted file system, by its path.
    case mount(String)

    var description: String {
      switch self {
      case .process(let pid): "process:\(pid)"
      case .directory(let path): "directory:\(path)"
      case .namespace(let name): "namespace:\(name)"
      case .mount(let path): "mount:\(path)"
      }
    }
  }

  private let pipe: Int32

  private init() {
    let (reading, writing) = Descriptors.pipe()
    pipe = writing
    let null = open("/dev/null", O_RDWR | O_CLOEXEC)
    defer {
      close(reading)
      close(null)
    }
    do {
      _ = try spawn(["/bin/sh", "-c", Self.script, "safety-net"], input: reading, output: null, errors: null)
    } catch {
      fatalError("the safety net does not start: \(error)")
    }
  }

  func add(_ thing: Thing) { write("add \(thing)\n") }
  func forget(_ thing: Thing) { write("forget \(thing)\n") }

  /// One line is far below PIPE_BUF, so lines of several threads never mix.
  private func write(_ line: String) {
    _ = line.withCString { Glibc.write(pipe, $0, strlen($0)) }
  }

  private static let script = #"""
    trap '' INT TERM HUP QUIT
    things=' '
    while read -r verb thing; do
      case $verb in
      add) things="$things$thing " ;;
      forget)
        case $things in
        *" $thing "*) things="${things%%" $thing "*} ${things#*" $thing "}" ;;
        esac ;;
      esac
    done
    for thing in $things; do
      case $thing in process:*)
        children=$(cat "/proc/${thing#*:}/task/"*/children 2>/dev/null)
        kill -KILL "${thing#*:}" 2>/dev/null
        for child in $children; do
          # The process may be a test run itself, whose own net has work to do now.
          grep -qs safety-net "/proc/$child/cmdline" || kill -KILL "$child" 2>/dev/null
        done ;;
      esac
    done
    for thing in $things; do
      case $thing in mount:*) umount -l "${thing#*:}" 2>/dev/null ;; esac
    done
    for thing in $things; do
      case $thing in
      directory:*)
        # The server's System V segment outlives a killed server; line 7 of postmaster.pid names it.
        for file in "${thing#*:}"/*/postmaster.pid "${thing#*:}"/postmaster.pid; do
          segment=$(sed -n '7s/^ *[0-9]* *//p' "$file" 2>/dev/null)
          [ -z "$segment" ] || { sleep 0.2; ipcrm -m "$segment" 2>/dev/null; }
        done
        rm -rf "${thing#*:}" 2>/dev/null || { sleep 0.5; rm -rf "${thing#*:}"; } ;;
      namespace:*)
        ip netns del "${thing#*:}" 2>/dev/null
        rm -rf "/etc/netns/${thing#*:}" ;;
      esac
    done
    """#
}
