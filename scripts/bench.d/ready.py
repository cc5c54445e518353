"""Speed to ready: Warmgate from exec to its first 200, against a C program that opens the same number of sessions
with libpq one after the other and asks one query, from exec to exit. Alternating, so that a busy moment of the
machine hits both.

  ready.py BIN WARMGATE SOCKET_URL TCP_URL PASSWORD_FILE RUNS
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import time

tools, warmgate, socket_url, tcp_url, password_file, runs = sys.argv[1:]
admin = f"unix:{tools}/admin"
# What may be asked of a start, by number of sessions.
bounds = {2: 1.5, 5: 1.25, 25: 1.25}


def stopwatch(mode, *command, environment):
    result = subprocess.run(
        [f"{tools}/stopwatch", *mode, *command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if result.returncode != 0:
        sys.exit(f"bench: {' '.join(command)}:\n{result.stderr[-2000:]}")
    took, began = (float(word) for word in result.stdout.split())
    return took, own_figure(result.stderr, began)


def own_figure(log, began):
    """Warmgate's own word for the same: when it logged that it became ready."""
    for line in log.splitlines():
        record = json.loads(line)
        if record.get("state") == "ready":
            return record["boottime"] * 1000 - began
    return None


def free_port():
    """One that nobody answers at, or another sidecar's 200 would be taken for ours."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def settle():
    """Lets the server finish the sessions of the last run before the next begins."""
    time.sleep(0.15)


with open(password_file, encoding="utf-8") as file:
    environment = {"PGPASSWORD": file.read().strip()}

print(f"median of {runs} runs each, milliseconds (smallest … largest)\n")
print(f"{'':24}{'libpq in C':>24}{'warmgate':>24}{'its own log':>13}{'ratio':>8}{'bound':>7}")
failed = False
for way, url in (("Unix socket", socket_url), ("TCP, SCRAM", tcp_url)):
    for sessions, bound in bounds.items():
        reference, gate, own = [], [], []
        for _ in range(int(runs)):
            settle()
            took, _ = stopwatch(
                ["exit"], f"{tools}/reference", url, str(sessions), environment=environment
            )
            reference.append(took)
            settle()
            port = free_port()
            took, logged = stopwatch(
                ["ready", port], warmgate, "serve", "--database-url", url, "--password-file", password_file,
                "--min-connections", str(sessions), "--max-connections", str(max(10, sessions)),
                "--listen", f"127.0.0.1:{port}", "--admin-listen", admin, "--log-format", "json",
                environment=environment,
            )  # fmt: skip
            gate.append(took)
            own.append(logged)
        ratio = statistics.median(gate) / statistics.median(reference)
        failed = failed or ratio > bound

        def spread(values):
            return f"{statistics.median(values):.1f} ({min(values):.1f} … {max(values):.1f})"

        known = [value for value in own if value is not None]
        logged = f"{statistics.median(known):.1f}" if known else "none"
        print(
            f"{f'{sessions} sessions, {way}':24}{spread(reference):>24}{spread(gate):>24}{logged:>13}"
            f"{ratio:>8.2f}{bound:>7}{'  ABOVE' if ratio > bound else ''}",
            flush=True,
        )
sys.exit(failed)
