"""Reads the events that `swift test --event-stream-output-path` wrote and prints a line for each test:
passed, failed or skipped, a tab, and its name. A test that began and did not end has failed: it was running when
the process died or its time was up.
"""

import json
import sys

names, results = {}, {}
with open(sys.argv[1], encoding="utf-8", errors="replace") as stream:
    for line in stream:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # cut off in the middle
        payload = record["payload"]
        if record["kind"] == "test" and payload["kind"] == "function":
            names[payload["id"]] = payload.get("displayName") or payload["name"]
        test = payload.get("testID")
        if record["kind"] != "event" or test not in names:
            continue
        message = (payload["messages"] or [{}])[0]
        match payload["kind"]:
            case "testStarted":
                results[test] = ("failed", names[test] + " (did not end)")
            case "testEnded":
                results[test] = ("failed" if message.get("symbol") == "fail" else "passed", names[test])
            case "testSkipped":
                reason = message.get("text", "").partition(" skipped: ")[2].strip('"')
                results[test] = ("skipped", names[test] + (f" ({reason})" if reason else ""))
for result, name in results.values():
    print(result, name, sep="\t")
