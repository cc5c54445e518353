extension Command {
  static let copy = Command(
    name: "copy", operands: "DIRECTORY", summary: "copies the program, so that another container can run it",
    details: """
      With the libraries that it loads, so that it runs in any image for the same processor: for a hook of a container \
      without a shell, from a volume that both mount. Run the copy as DIRECTORY/ld.so --library-path DIRECTORY \
      DIRECTORY/warmgate drain.
      """,
    exits: [(0, "copied"), (1, "not copied")]
  ) { invocation throws(UsageError) in
    guard let directory = invocation.arguments.operands.first, !directory.isEmpty else {
      throw UsageError("copy needs to know where to: a directory that exists")
    }
    try invocation.expectOperands(atMost: 1)
    do throws(TextFile.Failure) {
      let program = try LoadedProgram.current()
      try program.copy(to: directory)
      invocation.console.print("copied the program and \(program.libraries.count) libraries to \(directory)")
      return 0
    } catch {
      invocation.console.complain("not copied: \(error)")
      return 1
    }
  }
}
