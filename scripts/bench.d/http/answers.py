"""What an answer of /ready costs, beside nginx and HAProxy with the same answer from memory, and whether a thousand
probers at ten questions a second are answered in time.

  answers.py FOLDER WARMGATE DATABASE_URL ROUNDS ADDRESS

FOLDER has `probers`. ADDRESS is where all listen and are asked: not of loopback where that can be had, because
Warmgate takes note of those who ask from other machines, and that must be in the figures.

The servers are asked in turns, so that a busy moment of the machine hits all of them; requests per second of processor
time are what can be compared. Server and clients are on one processor: on two, a server that is quicker than wrk pays
for fewer wake-ups than one that is slower. There are medians and the best rounds, and the latter decide, because what
else runs on the machine can only make an answer dearer. Exits 1 if Warmgate misses what is asked of it.
"""

import contextlib
import http.client
import json
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import time

folder, warmgate, url, rounds, host = sys.argv[1:]
seconds, connections = 1, 64
processor = {max(os.sched_getaffinity(0))}
# What may be asked: of requests per CPU-second, the ratio to nginx; of a thousand probers, milliseconds.
least_ratio, most_p99 = 0.8, 5.0
probers, pace, turns, turn = 1000, 10, 3, 5

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  server_tokens off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  server {{
    listen {host}:{port};
    default_type "text/plain; charset=utf-8";
    add_header Cache-Control no-store;
    add_header X-Content-Type-Options nosniff;
    location = /ready {{ return 200 "ready\\n"; }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout client 75s
  timeout http-request 5s
frontend ready
  bind {host}:{port}
  http-request return status 200 content-type "text/plain; charset=utf-8" string "ready\\n" hdr Cache-Control no-store hdr X-Content-Type-Options nosniff if {{ path /ready }}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def written(name, text):
    path = f"{folder}/{name}"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def commands(ports):
    nginx = written("nginx.conf", NGINX.format(folder=folder, host=host, port=ports["nginx"]))
    haproxy = written("haproxy.cfg", HAPROXY.format(host=host, port=ports["haproxy"]))
    return {
        "warmgate": [
            warmgate, "serve", "--database-url", url, "--listen", f"{host}:{ports['warmgate']}",
            "--admin-listen", f"unix:{folder}/admin", "--log-format", "json", "--probe-interval", "1s",
        ],
        "nginx": ["/usr/sbin/nginx", "-c", nginx, "-e", f"{folder}/nginx.log"],
        "haproxy": ["/usr/sbin/haproxy", "-db", "-f", haproxy],
    }  # fmt: skip


def ask(port):
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


@contextlib.contextmanager
def running(name, command, port):
    with open(f"{folder}/{name}.out", "w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, preexec_fn=lambda: os.sched_setaffinity(0, processor))
        try:
            deadline = time.monotonic() + 20
            while True:
                with contextlib.suppress(OSError):
                    if ask(port)[0] == 200:
                        break
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    sys.exit(f"bench: {name} does not answer:\n{log.read()[-2000:]}")
                time.sleep(0.05)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()


def tasks(pid):
    """Every thread of the process and of all that come from it: its folder in /proc."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        found.append(f"/proc/{pid}/task/{task}")
        with open(f"/proc/{pid}/task/{task}/children", encoding="utf-8") as file:
            for child in file.read().split():
                found += tasks(int(child))
    return found


def cpu_seconds(pid):
    """Processor time, of user and system, that the server has taken. In nanoseconds, where stat has hundredths."""
    total = 0
    for task in tasks(pid):
        with open(f"{task}/schedstat", encoding="utf-8") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def schedule(pid, policy, priority):
    os.sched_setscheduler(pid, policy, os.sched_param(priority))


@contextlib.contextmanager
def first_in_line(pid):
    """Other processes of a busy machine wait for this one. Only for what leaves most of the machine to them."""
    threads = [int(os.path.basename(task)) for task in tasks(pid)]
    try:
        for thread in threads:
            schedule(thread, os.SCHED_FIFO, 1)
        yield
    finally:
        for thread in threads:
            schedule(thread, os.SCHED_OTHER, 0)


def may_be_first():
    try:
        schedule(0, os.SCHED_FIFO, 1)
    except PermissionError:
        return False
    schedule(0, os.SCHED_OTHER, 0)
    return True


def as_client(command, is_first=False):
    def prepare():
        os.sched_setaffinity(0, processor)
        if is_first:
            schedule(0, os.SCHED_FIFO, 1)

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, preexec_fn=prepare)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout


UNITS = {"us": 1, "ms": 1e3, "s": 1e6}


def wrk(port, keeps, length=seconds):
    # Headers as probers send them.
    header = ["-H", "Accept: */*", "-H", "User-Agent: prober/1.0"] + ([] if keeps else ["-H", "Connection: close"])
    output = as_client(
        ["wrk", "-t1", f"-c{connections}", f"-d{length}s", "--latency", *header, f"http://{host}:{port}/ready"])
    errors = re.search(r"Non-2xx.*|Socket errors.*", output)
    # A connection that is closed after its answer is a read error for wrk only if the answer was not whole.
    if errors:
        sys.exit(f"bench: wrk on port {port}: {errors[0]}")
    count, took = re.search(r"(\d+) requests in ([\d.]+)s", output).groups()
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", output).groups()
    return int(count), float(took), float(value) * UNITS[unit]


misses = []


def bounded(text, fits):
    if not fits:
        misses.append(text)
    return "" if fits else "  MISSED"


def compare(servers, ports, keeps):
    results = {name: [] for name in servers}
    for name in servers:
        wrk(ports[name], keeps, 1)  # memory is touched, caches are filled
    for _ in range(int(rounds)):
        for name, pid in servers.items():
            before = cpu_seconds(pid)
            count, took, p99 = wrk(ports[name], keeps)
            cpu = cpu_seconds(pid) - before
            results[name].append({"rate": count / took, "per_cpu": count / cpu, "p99": p99})
    way = "keep-alive" if keeps else "a connection per request"
    print(f"\n{way}, {connections} connections, {rounds} rounds of {seconds} s")
    print(f"{'':12}{'requests/s':>12}{'per CPU-s':>12}{'best':>9}{'µs of CPU':>11}{'/ nginx':>9}{'best':>7}", end="")
    print(f"{'p99 µs':>9}" if keeps else "")
    peers = [row["per_cpu"] for row in results["nginx"]]
    for name, rows in results.items():
        rate, per_cpu, p99 = (statistics.median(row[key] for row in rows) for key in ("rate", "per_cpu", "p99"))
        mine = [row["per_cpu"] for row in rows]
        median_ratio = statistics.median(a / b for a, b in zip(mine, peers))
        ratio = max(mine) / max(peers)
        print(f"{name:12}{rate:12.0f}{per_cpu:12.0f}{max(mine):9.0f}{1e6 / max(mine):11.2f}", end="")
        print(f"{median_ratio:9.2f}{ratio:7.2f}", end="")
        # wrk's clock starts after connect: with a connection per request it says nothing of use.
        print(f"{p99:9.0f}" if keeps else "", end="")
        asked = name != "warmgate" or ratio >= least_ratio
        print(bounded(f"{way}: {ratio:.2f} × nginx, at least {least_ratio} is wanted", asked))


def many_probers(servers, ports):
    print(f"\n{probers} connections, {pace} questions a second on each, from the moment each was due, ms")
    is_first = may_be_first()
    print(f"the best of {turns} turns of {turn} s, {'before' if is_first else 'among'} the machine's other processes")
    print(f"{'':12}{'answered':>12}{'p50':>9}{'p99':>9}{'p99.9':>9}{'slowest':>9}{'cores':>7}")
    results = {name: [] for name in servers}
    for _ in range(turns):
        for name, pid in servers.items():
            command = [f"{folder}/probers", host, str(ports[name]), str(probers), str(pace), str(turn)]
            before, began = cpu_seconds(pid), time.monotonic()
            with first_in_line(pid) if is_first else contextlib.nullcontext():
                result = json.loads(as_client(command, is_first))
            result["cores"] = (cpu_seconds(pid) - before) / (time.monotonic() - began)
            results[name].append(result)
    for name, rows in results.items():
        best = min(rows, key=lambda row: row["p99"])
        asked, answered = (sum(row[key] for row in rows) for key in ("asked", "answered"))
        times = "".join(f"{best[key]:9.2f}" for key in ("p50", "p99", "p999", "max"))
        print(f"{name:12}{answered:>12}{times}{best['cores']:7.2f}", end="")
        fits = name != "warmgate" or answered == asked and best["p99"] < most_p99
        print(bounded(
            f"{probers} probers: {answered} of {asked} answered with 200, p99 {best['p99']:.2f} ms; all, and less than"
            f" {most_p99} ms, are wanted", fits))


# Each prober is a file here and one in the server, which allows itself half of the files that it may have.
files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
if files < 4 * probers:
    sys.exit(f"bench: {4 * probers} open files are needed, and {files} allowed: ulimit -Hn")
resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

ports = {name: free_port() for name in ("warmgate", "nginx", "haproxy")}
with contextlib.ExitStack() as stack:
    servers = {
        name: stack.enter_context(running(name, command, ports[name])) for name, command in commands(ports).items()}
    bodies = {name: ask(port)[2] for name, port in ports.items()}
    if set(bodies.values()) != {b"ready\n"}:
        sys.exit(f"bench: the answers are not the same: {bodies}")
    print(f"server and clients on one processor, at {host}")
    for keeps in (True, False):
        compare(servers, ports, keeps)
    many_probers(servers, ports)
for miss in misses:
    print(f"missed: {miss}")
sys.exit(bool(misses))
