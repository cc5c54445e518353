"""Footprint of an idle Warmgate with two connections: memory, processor, wake-ups and the size of the executable; and
the processor time that metrics cost when they are scraped ten times a second.

  footprint.py WARMGATE URL PASSWORD_FILE HEALTH_PORT ADMIN_SOCKET SECONDS
"""

import http.client
import os
import subprocess
import sys
import tempfile
import time

warmgate, url, password_file, port, admin, seconds = sys.argv[1:]


def field(path, name):
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    return 0


def threads(pid):
    return [f"/proc/{pid}/task/{task}" for task in os.listdir(f"/proc/{pid}/task")]


def counters(pid):
    """Nanoseconds on a processor, and how often a thread went to sleep by itself (and so was woken later)."""
    busy = sum(int(open(f"{thread}/schedstat", encoding="utf-8").read().split()[0]) for thread in threads(pid))
    return busy, sum(field(f"{thread}/status", "voluntary_ctxt_switches") for thread in threads(pid))


def is_ready():
    try:
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=1)
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False


def scrape(connection):
    connection.request("GET", "/metrics")
    response = connection.getresponse()
    if response.status != 200 or b"\nwarmgate_ready 1\n" not in response.read():
        sys.exit("bench: /metrics does not say that it is ready")


with tempfile.TemporaryFile() as log, subprocess.Popen(
    [
        warmgate, "serve", "--database-url", url, "--password-file", password_file, "--min-connections", "2",
        "--listen", f"127.0.0.1:{port}", "--admin-listen", f"unix:{admin}",
    ],
    stderr=log,
) as gate:  # fmt: skip
    try:
        deadline = time.monotonic() + 20
        while not is_ready():
            if gate.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                sys.exit("bench: never ready:\n" + log.read().decode(errors="replace")[-2000:])
            time.sleep(0.05)
        time.sleep(2)
        before, began = counters(gate.pid), time.monotonic()
        time.sleep(float(seconds))
        after, took = counters(gate.pid), time.monotonic() - began
        rss = field(f"/proc/{gate.pid}/status", "VmRSS") / 1024
        count = len(threads(gate.pid))
        # A little more than a tenth of a second apart, so that each page is made anew.
        scraper, pages = http.client.HTTPConnection("127.0.0.1", int(port), timeout=5), 0
        scraping, scraping_began = counters(gate.pid)[0], time.monotonic()
        while time.monotonic() - scraping_began < float(seconds) / 3:
            scrape(scraper)
            pages += 1
            time.sleep(0.105)
        scraped, scraping_took = counters(gate.pid)[0] - scraping, time.monotonic() - scraping_began
    finally:
        gate.terminate()
        try:
            gate.wait(40)
        except subprocess.TimeoutExpired:
            gate.kill()

with tempfile.NamedTemporaryFile() as stripped:
    subprocess.run(["strip", "-o", stripped.name, warmgate], check=True)
    size = os.path.getsize(stripped.name) / 1e6

rows = [
    ("resident memory", rss, "MiB", 16),
    ("processor", (after[0] - before[0]) / 1e9 / took * 100, "% of a core", 0.2),
    ("scraped 10 times a second", scraped / 1e9 / scraping_took * 100, "% of a core", 1),
    ("wake-ups", (after[1] - before[1]) / took, "a second", 5),
    ("executable, stripped", size, "MB", 20),
]
print(f"idle with 2 connections for {took:.0f} s, {count} threads\n")
failed = False
for name, value, unit, bound in rows:
    failed = failed or value > bound
    print(f"{name:27}{value:>10.2f} {unit:14}at most {bound}{'  ABOVE' if value > bound else ''}")
sys.exit(failed)
