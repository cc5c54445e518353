/// Parameters as libpq takes them: one pointer each, and for binary ones their lengths and formats.
struct ParameterValues {
  private var bytes: [CChar] = []
  /// Where each begins; nil for NULL.
  private var offsets: [Int?] = []
  /// Empty as long as all are text, which ends with a zero.
  private var lengths: [Int32] = []
  private var formats: [Int32] = []

  init(_ parameters: [Parameter]) {
    offsets.reserveCapacity(parameters.count)
    for parameter in parameters {
      switch parameter.value {
      case .null: offsets.append(nil)
      case .text(let text):
        offsets.append(bytes.count)
        bytes.append(contentsOf: text.utf8.lazy.map { CChar(bitPattern: $0) })
        bytes.append(0)
      case .binary(let value):
        if formats.isEmpty {
          formats = [Int32](repeating: 0, count: parameters.count)
          lengths = formats
        }
        formats[offsets.count] = 1
        // PostgreSQL refuses a value of 1 GiB, libpq a message of 2.
        lengths[offsets.count] = Int32(clamping: value.count)
        offsets.append(bytes.count)
        bytes.append(contentsOf: value.lazy.map { CChar(bitPattern: $0) })
        // So that there is an address, also of an empty value.
        bytes.append(0)
      }
    }
  }

  /// Count, values, lengths and formats; the latter two are null pointers if all are text.
  func withPointers<Result>(
    _ body: (
      Int32, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?
    ) -> Result
  ) -> Result {
    bytes.withUnsafeBufferPointer { bytes in
      let pointers = offsets.map { offset in offset.flatMap { bytes.baseAddress?.advanced(by: $0) } }
      let count = Int32(clamping: pointers.count)
      return pointers.withUnsafeBufferPointer { values in
        if formats.isEmpty { return body(count, values.baseAddress, nil, nil) }
        return lengths.withUnsafeBufferPointer { lengths in
          formats.withUnsafeBufferPointer {
            body(count, values.baseAddress, lengths.baseAddress, $0.baseAddress)
          }
        }
      }
    }
  }
}
