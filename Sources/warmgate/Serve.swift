/// Runs the sidecar until it is told to stop, and gives the exit code.
func serve(_ settings: ServeSettings) -> Int32 {
  Console().complain("serve is not built yet")
  return 1
}
