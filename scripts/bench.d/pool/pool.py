"""The cost of the pool beside a floor written in C and other pools, in interleaved rounds on one machine.

  pool.py FOLDER SOCKET_URL TCP_URL PASSWORD_FILE POSTMASTER_PID ROUNDS

FOLDER has the programs: floor, allocations.so, PoolBenchmark, Hikari.class and classpath, python. Only ratios mean
something: what is measured at the same time shares the machine. Exits 1 if WarmPool misses what is asked of it.

Measured twice. Apart: the server has one half of the processors and the caller the other, as on two machines. Together:
the kernel places both, and on a machine of few processors that decides much of the result. A server's process that is
woken is put where its caller runs, pushes it aside and stays there, while another processor has nothing to do.
"""

import json
import os
import statistics
import subprocess
import sys
import urllib.parse

folder, socket_url, tcp_url, password_file, postmaster, rounds = sys.argv[1:]
here = os.path.dirname(os.path.abspath(__file__))
seconds, workers, connections = "1.5", "64", "10"
with open(password_file, encoding="utf-8") as file:
    password = file.read().strip()
environment = {**os.environ, "PGPASSWORD": password}
BEST = "WarmPool.query, on its executor"
PEERS = ("psycopg_pool", "asyncpg", "HikariCP")


def place(server, caller):
    """Confines the server's processes, and what is started from here, to these processors."""
    with open(f"/proc/{postmaster}/task/{postmaster}/children", encoding="ascii") as file:
        for process in [postmaster, *file.read().split()]:
            try:
                os.sched_setaffinity(int(process), server)
            except ProcessLookupError:
                pass  # It has just ended.
    os.sched_setaffinity(0, caller)


def run(command, extra=None):
    done = subprocess.run(
        command, env={**environment, **(extra or {})}, stdout=subprocess.PIPE, check=True, timeout=60, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def contenders(url, is_tcp):
    load = [url, seconds, workers, connections]
    pool = f"{folder}/PoolBenchmark"
    python = [f"{folder}/python/bin/python", f"{here}/peers.py"]
    found = {
        "floor in C": [f"{folder}/floor", *load],
        BEST: [pool, *load, "query", "loop"],
        "WarmPool.query, ordinary tasks": [pool, *load, "query", "tasks"],
        "  withConnection, on its executor": [pool, *load, "lease", "loop"],
        "  withConnection, ordinary tasks": [pool, *load, "lease", "tasks"],
        "psycopg_pool": [*python, "psycopg", *load],
        "asyncpg": [*python, "asyncpg", *load],
    }
    if is_tcp:
        with open(f"{folder}/classpath", encoding="utf-8") as file:
            classpath = file.read().strip()
        place = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
        found["HikariCP"] = [
            "java", "-cp", classpath, "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "Hikari", place, password,
            *load[1:]]
    return found


def medians(results):
    return {key: statistics.median(result[key] for result in results) for key in results[0]}


misses = []


def compare(net, url, placement):
    programs = contenders(url, net == "tcp")
    results = {name: [] for name in programs}
    for _ in range(int(rounds)):
        for name, command in programs.items():
            results[name].append(run(command))
    floor = results["floor in C"]
    print(
        f"\nSELECT 1, {workers} workers over {connections} connections, {net}, {placement}, medians of {rounds} rounds")
    print(f"{'':33}{'ops/s':>9}{'/ floor':>9}{'p50 µs':>9}{'p99 µs':>9}{'/ floor':>9}{'fairness':>10}{'CPU µs/op':>11}")
    rows = {}
    for name, mine in results.items():
        row = medians(mine)
        row["ops_ratio"] = statistics.median(a["ops"] / b["ops"] for a, b in zip(mine, floor))
        row["p99_ratio"] = statistics.median(a["p99"] / b["p99"] for a, b in zip(mine, floor))
        rows[name] = row
        print(
            f"{name:33}{row['ops']:9.0f}{row['ops_ratio']:9.2f}{row['p50']:9.0f}{row['p99']:9.0f}"
            f"{row['p99_ratio']:9.2f}{row['fairness']:10.3f}{row['cpu']:11.1f}")
    judge(f"{net}, {placement}", rows)


def judge(where, rows):
    best = rows[BEST]
    for what, holds in (
        (f"{best['ops_ratio']:.2f} of the floor's throughput, at least 0.75 is asked", best["ops_ratio"] >= 0.75),
        (f"p99 {best['p99_ratio']:.2f} times the floor's, at most 1.5 is asked", best["p99_ratio"] <= 1.5),
        (f"fairness {best['fairness']:.3f}, at least 0.95 is asked", best["fairness"] >= 0.95),
    ):
        if not holds:
            misses.append(f"{where}: {what}")
    for name, row in rows.items():
        if name not in PEERS:
            continue
        for key, sign in (("ops", 1), ("p99", -1), ("fairness", 1)):
            # Two that are fair to the hundredth are equally fair.
            margin = 0.01 if key == "fairness" else 0
            if sign * (best[key] - row[key]) < -margin:
                misses.append(f"{where}: {name} has the better {key}")


def acquire_alone():
    pool = [f"{folder}/PoolBenchmark", socket_url, "1"]
    counted = {"LD_PRELOAD": f"{folder}/allocations.so"}
    print("\nacquire and release alone (ns, allocations per operation; one yield between them)")
    for name, load in (("uncontended", "1"), ("4 times oversubscribed", str(4 * int(connections)))):
        for place in ("loop", "tasks"):
            command = [*pool, load, connections, "acquire", place]
            plain = medians([run(command) for _ in range(int(rounds))])
            allocations = run(command, counted)["allocations"]
            where = "on its executor" if place == "loop" else "ordinary tasks"
            print(f"{name + ', ' + where:41}{1e9 / plain['ops']:8.0f}{allocations:8.1f}")
    for place in ("loop", "tasks"):
        command = [*pool, workers, connections, "query", place]
        where = "on its executor" if place == "loop" else "ordinary tasks"
        print(f"{'allocations of a whole query, ' + where:49}{run(command, counted)['allocations']:8.1f}")


processors = sorted(os.sched_getaffinity(0))
half = len(processors) // 2
if half:
    place(processors[half:], processors[:half])
    compare("unix", socket_url, "apart")
    compare("tcp", tcp_url, "apart")
    place(processors, processors)
else:
    print("one processor only: not measured apart")
compare("unix", socket_url, "together")
compare("tcp", tcp_url, "together")
acquire_alone()
for miss in misses:
    print(f"MISSED  {miss}")
sys.exit(1 if misses else 0)
