"""Three ways of giving callers a connection, over the same slow link and through the same failover.

  strategies.py PROGRAM LINK POSTGRES_BIN FOLDER STRATEGY|all SECONDS [OWNER COMMAND…]

Each strategy gets a primary and a standby of its own, behind a proxy that delays every piece of data, either way, by a
random time: exponential, 10 ms on average, at most 200 ms. Nothing overtakes. In the middle the primary vanishes: what
is sent to it is swallowed, no connection is ended, new ones are never answered, until the end. The standby is promoted
at once. Callers arrive at a steady rate, the same for all, and each tries again until it is answered; the time of a
call is from its first wish to its answer, all attempts included.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys

program, link, binaries, folder, only, seconds, *owner = sys.argv[1:]
SECONDS, RATE, CONNECTIONS = int(seconds), int(os.environ.get("RATE", "250")), 20
MEAN, LONGEST = 10, 200  # milliseconds
STRATEGIES = {"each": "a connection per request", "fixed": "a fixed pool, no checks", "warm": "WarmPool"}
PASSWORD = "benchmark"


def command(*arguments):
    subprocess.run([*owner, *arguments], check=True, stdout=subprocess.DEVNULL, timeout=60)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, name):
        self.data, self.port = f"{folder}/{name}", free_port()

    def control(self, *action):
        command("setsid", "-w", f"{binaries}/pg_ctl", "-D", self.data, "-s", "-w", "-l", f"{self.data}.log", *action)

    def configure(self, *lines):
        settings = [
            "listen_addresses = '127.0.0.1'", f"port = {self.port}", f"unix_socket_directories = '{folder}'",
            "max_connections = 200", "fsync = off", "dynamic_shared_memory_type = mmap", *lines]
        subprocess.run([*owner, "tee", "-a", f"{self.data}/postgresql.conf"], input="\n".join(settings) + "\n",
                       text=True, stdout=subprocess.DEVNULL, check=True)

    def make(self):
        with open(f"{folder}/password", "w", encoding="utf-8") as file:
            file.write(PASSWORD + "\n")
        os.chmod(f"{folder}/password", 0o644)
        command(f"{binaries}/initdb", "-D", self.data, "-U", "warmgate", "--locale=C", "--no-sync",
                "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={folder}/password")
        self.configure()
        self.control("start")

    def follow(self, primary):
        command(f"{binaries}/pg_basebackup", "-D", self.data, "-h", folder, "-p", str(primary.port), "-U", "warmgate",
                "-R", "-c", "fast", "--no-sync")
        self.configure()
        self.control("start")

    def stop(self):
        if os.path.exists(f"{self.data}/postmaster.pid"):
            self.control("-m", "immediate", "stop")

    def memory(self):
        """Kilobytes of its sessions with what they share counted once."""
        try:
            with open(f"{self.data}/postmaster.pid", encoding="utf-8") as file:
                postmaster = int(file.readline())
            children = open(f"/proc/{postmaster}/task/{postmaster}/children", encoding="utf-8").read().split()
        except OSError:
            return 0
        return sum(field(f"/proc/{pid}/smaps_rollup", "Pss") for pid in children)


def field(path, name):
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


async def measure(strategy):
    primary, standby = Server(f"{strategy}-primary"), Server(f"{strategy}-standby")
    load = proxies = None
    try:
        await asyncio.to_thread(primary.make)
        await asyncio.to_thread(standby.follow, primary)
        proxies = await asyncio.create_subprocess_exec(
            link, str(MEAN), str(LONGEST), str(primary.port), str(standby.port), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        ports = (await proxies.stdout.readline()).decode().strip().replace(" ", ",")
        url = f"host=127.0.0.1,127.0.0.1 port={ports} user=warmgate dbname=postgres sslmode=disable"
        load = await asyncio.create_subprocess_exec(
            program, url, str(SECONDS), str(RATE), str(CONNECTIONS), strategy, stdout=subprocess.PIPE,
            env={**os.environ, "PGPASSWORD": PASSWORD})
        assert await load.stdout.readline() == b"ready\n"
        at_server = at_client = 0
        running = asyncio.create_task(load.stdout.read())
        for second in range(2 * SECONDS):
            at_server = max(at_server, await asyncio.to_thread(lambda: primary.memory() + standby.memory()))
            if second == SECONDS:
                proxies.stdin.write(b"silent 0\n")
                await proxies.stdin.drain()
                await asyncio.to_thread(standby.control, "promote")
                await asyncio.to_thread(primary.stop)
            # Its peak, while it is there to be asked.
            at_client = field(f"/proc/{load.pid}/status", "VmHWM") or at_client
            await asyncio.wait([running], timeout=0.5)
        *failures, last = (await asyncio.wait_for(running, 60)).decode().splitlines()
        result = json.loads(last)
        result["failures"] = failures
        result.update(client=at_client / 1024, server=at_server / 1024)
        return result
    finally:
        if load and load.returncode is None:
            load.kill()
        if proxies:
            proxies.stdin.close()
        for server in (primary, standby):
            server.stop()


async def main():
    print(
        f"{RATE} callers a second for {SECONDS} s, {CONNECTIONS} connections in the pools; the link delays each piece\n"
        f"of data by {MEAN} ms on average and up to {LONGEST} ms, either way; after {SECONDS // 2} s the primary vanishes\n"
        f"silently and the standby is promoted. Callers try again until they are answered, for at most 30 s; a login, a\n"
        f"statement and a wait for a connection are given up after 2 s each. Late: answered after more than 500 ms; disturbed: from the\n"
        f"first to the last caller who was late.\n")
    print(f"{'':27}{'p50 ms':>8}{'p99 ms':>8}{'max ms':>8}{'late':>7}{'disturbed':>10}{'reuse':>7}{'retries':>8}{'errors':>7}{'client MB':>10}{'server MB':>10}")
    rows = {}
    for strategy, name in STRATEGIES.items():
        if only not in ("all", strategy):
            continue
        row = rows[strategy] = await measure(strategy)
        row["reuse"] = max(0, 1 - row["opened"] / max(row["answered"], 1))
        print(f"{name:27}{row['p50']:8.0f}{row['p99']:8.0f}{row['max']:8.0f}{row['late']:7}{row['disturbed']:8.1f} s"
              f"{row['reuse']:7.1%}{row['retried']:8}{row['errors']:7}{row['client']:10.1f}{row['server']:10.1f}", flush=True)
        for failure in row["failures"]:
            print(failure)
    if only != "all":
        return 0
    warm = rows["warm"]
    each, fixed = rows["each"]["p99"] / warm["p99"], rows["fixed"]["p99"] / warm["p99"]
    print(f"\np99 of a connection per request is {each:.1f} times WarmPool's, that of the fixed pool {fixed:.1f} times")
    missed = []
    if each < 1240 / 95:
        missed.append(f"connection per request: {1240 / 95:.1f} times was published")
    if fixed < 380 / 95:
        missed.append(f"fixed pool: {380 / 95:.1f} times was published")
    if warm["reuse"] < 0.99:
        missed.append(f"reuse {warm['reuse']:.1%}, at least 99 % is asked")
    if warm["errors"]:
        missed.append(f"{warm['errors']} callers were never answered")
    for miss in missed:
        print(f"MISSED  {miss}")
    return 1 if missed else 0


sys.exit(asyncio.run(main()))
