"""Names every public symbol without a doc comment in the symbol graphs of a folder, as `file:line: symbol`.

    undocumented.py FOLDER

Exits 1 if there is one, and also if there is no symbol at all: then something else is wrong. What the compiler makes
(a synthesized ==) has no place in the source, and what answers to a protocol has the protocol's own comment.
"""

import json
import os
import pathlib
import sys
import urllib.parse


def main(folder):
    seen, missing = 0, set()
    for graph in sorted(pathlib.Path(folder).glob("*.symbols.json")):
        for symbol in json.loads(graph.read_text())["symbols"]:
            location = symbol.get("location")
            if not location:
                continue
            seen += 1
            if any(line["text"].strip() for line in symbol.get("docComment", {}).get("lines", [])):
                continue
            path = urllib.parse.unquote(urllib.parse.urlparse(location["uri"]).path)
            line = location["position"]["line"] + 1
            missing.add((os.path.relpath(path), line, ".".join(symbol["pathComponents"])))
    for path, line, name in sorted(missing):
        print(f"{path}:{line}: {name} is public and has no doc comment")
    print(f"{seen} public symbols, {len(missing)} without a doc comment")
    return 1 if missing or not seen else 0


sys.exit(main(sys.argv[1]))
