import Glibc
import YAML

/// A manifest as a user names it, and the workload in it that is planned for.
struct ManifestFile {
  /// As it is said in findings and errors.
  let name: String
  let manifest: Manifest

  /// `-` is standard input.
  init(_ path: String) throws(UsageError) {
    let name = path == "-" ? "stdin" : path.shown
    let most = Manifest.mostBytes
    let bytes: [UInt8]
    do throws(TextFile.Failure) {
      bytes =
        path == "-"
        ? try TextFile.bytes(from: STDIN_FILENO, atMost: most, waits: true)
        : try TextFile.bytes(of: path, atMost: most, waits: true)
    } catch {
      var status = stat()
      let isDirectory = stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
      let advice = isDirectory ? "; give a file, or: kubectl kustomize \(name) | warmgate plan -f -" : ""
      throw UsageError("\(name): \(error.description)\(advice)")
    }
    try self.init(bytes, called: name)
  }

  init(_ bytes: [UInt8], called name: String) throws(UsageError) {
    self.name = name
    do throws(YAMLError) { manifest = try Manifest(bytes) } catch {
      throw UsageError("\(name): \(Self.text(error))")
    }
  }

  private static func text(_ error: YAMLError) -> String {
    "line \(error.line): \(error.why.shown(atMost: 400))"
  }

  func error(_ why: String) -> UsageError { UsageError("\(name): \(why)") }

  func error(_ error: YAMLError) -> UsageError { UsageError("\(name): \(Self.text(error))") }

  /// The one workload with a Warmgate in it, and all its Warmgates.
  ///
  /// - Parameters:
  ///   - wanted: `shop` or `deployment/shop`.
  ///   - container: taken to be Warmgate's, whatever it looks like.
  func workload(
    named wanted: String?, container: String?
  ) throws(UsageError) -> (Workload, [WarmgateContainer]) {
    let named = manifest.workloads.filter { workload in
      wanted.map { $0 == workload.meta.name || $0.lowercased() == workload.name.lowercased() } ?? true
    }
    let found = named.map { ($0, sidecars(of: $0, named: container)) }.filter { !$0.1.isEmpty }
    if found.count == 1 { return found[0] }
    if found.isEmpty { throw error(nothing(named, wanted, container)) }
    let names = found.map { "\($0.0.name.shown) on line \($0.0.meta.line)" }
    let list = names.prefix(5).joined(separator: ", ") + (names.count > 5 ? ", …" : "")
    let isNamed = Set(found.map(\.0.name)).count > 1
    throw error(
      "\(found.count) workloads have a Warmgate: \(list); "
        + (isNamed ? "say which with --name KIND/NAME" : "give a manifest with only one of them"))
  }

  /// None where the one that is named is not there.
  private func sidecars(of workload: Workload, named: String?) -> [WarmgateContainer] {
    let all = workload.pod.containers.compactMap {
      WarmgateContainer($0, in: manifest, namespace: workload.meta.namespace, isNamed: $0.name == named)
    }
    return named == nil || all.contains { $0.container.name == named } ? all : []
  }

  /// Why no workload is left.
  private func nothing(_ workloads: [Workload], _ wanted: String?, _ container: String?) -> String {
    let kinds = Workload.Kind.allCases.map(\.rawValue)
    let list = kinds.dropLast().joined(separator: ", ") + " or " + (kinds.last ?? "")
    if manifest.workloads.isEmpty {
      if manifest.otherKinds.contains("Kustomization") {
        return "a kustomization, which has to be built: kubectl kustomize DIRECTORY | warmgate plan -f -"
      }
      let others = manifest.otherKinds.prefix(5).map(\.shown).joined(separator: ", ")
      return "there is no \(list) in it" + (others.isEmpty ? "" : ", only \(others)")
    }
    let names = (workloads.isEmpty ? manifest.workloads : workloads).prefix(5).map(\.name.shown)
      .joined(separator: ", ")
    if workloads.isEmpty, let wanted { return "no workload is called \(wanted.quoted); there is \(names)" }
    if let container { return "no container is called \(container.quoted) in \(names)" }
    return
      "no container of \(names) is a Warmgate: none has the command \"warmgate serve\", or no command and an image "
      + "called warmgate; --container NAME says which it is"
  }
}
