import PoolCore

/// `/drain` and `/resume`: the only requests that wait for something.
extension AdminRoutes {
  func drain(_ request: Request) -> Reply {
    let mediaType = MediaType(for: request, among: [.text, .json])
    switch DrainRequest.parse(request.query) {
    case .failure(let mistake):
      return .now(refuse(request, .line(.badRequest, mistake.description)))
    case .success(let wish):
      return .later(
        begin: { ticket in
          control.drain(wish) { ticket.answer(response(to: request, answer: $0, mediaType)) }
        },
        crowded: {
          if !wish.wait {
            // There is no place to wait for its beginning, and it must not be lost; nor must a refusal.
            control.drain(wish) { _ = response(to: request, answer: $0, mediaType) }
            return Self.accepted(mediaType)
          }
          let text = "too many callers wait for a drain already (\(ListenLimits.waiting)); use ?wait=0"
          return refuse(request, .line(.serviceUnavailable, text))
        },
        stopped: .line(.serviceUnavailable, "ending: the drain was not waited for"))
    }
  }

  private static func accepted(_ mediaType: MediaType) -> Response {
    if mediaType == .json {
      return Response(.accepted, .json, body: #"{"drained":false,"draining":true}"# + "\n")
    }
    return .line(.accepted, "draining")
  }

  private func response(to request: Request, answer: DrainAnswer, _ mediaType: MediaType) -> Response {
    switch answer {
    case .begun: Self.accepted(mediaType)
    case .done(let progress): done(progress, mediaType)
    case .takenBack: .line(.conflict, "the drain was taken back by a resume")
    case .refused(let why): refuse(request, .line(.serviceUnavailable, why))
    }
  }

  private func done(_ progress: DrainProgress, _ mediaType: MediaType) -> Response {
    let now = observe().now
    if mediaType == .json {
      return Response(.ok, .json, body: progress.countsJSON(probers?.drained(at: now)).text + "\n")
    }
    return .line(.ok, progress.countsText + (probers?.drainText(at: now) ?? ""))
  }

  func resume(_ request: Request) -> Reply {
    .later(
      begin: { ticket in
        control.resume { answer in
          switch answer {
          case .resumed: ticket.answer(.line(.ok, "resumed"))
          case .refused(let why): ticket.answer(refuse(request, .line(.conflict, why)))
          }
        }
      },
      crowded: { refuse(request, .line(.serviceUnavailable, "too many callers wait for a drain already")) },
      stopped: .line(.serviceUnavailable, "ending"))
  }
}

extension DrainProgress {
  /// `drained: 3 leases finished, 0 cut off, 2 waiting refused, 10 connections closed`.
  var countsText: String {
    "drained: \(finished) \(finished == 1 ? "lease" : "leases") finished, \(cut) cut off, \(refused) waiting "
      + "refused, \(closed) \(closed == 1 ? "connection" : "connections") closed"
  }

  func countsJSON(_ probers: (told: Int, notTold: [Probers.Prober])?) -> JSON {
    [
      "drained": true, "in_use": .int(inUse), "finished": .int(finished), "cut": .int(cut),
      "refused": .int(refused), "closed": .int(closed),
      "took": ended.map { .seconds($0 - began) } ?? .null,
      "probers_told": .int(probers?.told ?? 0),
      "probers_not_told": .array((probers?.notTold ?? []).map { $0.json(at: ended ?? $0.lastSeen) }),
    ]
  }
}

extension DrainRequest {
  /// A query that is not understood, in one line.
  struct Mistake: Error, CustomStringConvertible {
    let description: String
  }

  /// `?timeout=20s` and `?wait=0`. A parameter that does not exist is a mistake too: a misspelled `timeout` must
  /// not drain with another one.
  static func parse(_ query: [Request.Field]) -> Result<DrainRequest, Mistake> {
    var wish = DrainRequest()
    for field in query {
      let value = JSON.string(String(field.value.prefix(40))).text
      switch field.name {
      case "timeout":
        guard let timeout = Duration(text: field.value), timeout >= .zero else {
          return .failure(
            Mistake(description: "timeout=\(value) is not a duration such as 250ms, 5s, 2m or 1h"))
        }
        wish.timeout = timeout
      case "wait":
        switch field.value {
        case "0", "false": wish.wait = false
        case "1", "true", "": wish.wait = true
        default: return .failure(Mistake(description: "wait=\(value) is neither 0 nor 1"))
        }
      case "format": break
      default:
        let name = JSON.string(String(field.name.prefix(40))).text
        return .failure(Mistake(description: "unknown parameter \(name); there are timeout, wait and format"))
      }
    }
    return .success(wish)
  }
}
