"""SELECT 1 through a pool of Python's, by workers that share it; prints one line of JSON.

  peers.py psycopg|asyncpg URL SECONDS WORKERS CONNECTIONS

Both prepare what they are asked repeatedly by themselves. asyncpg takes the URL as libpq does.
"""

import asyncio
import json
import resource
import sys
import time
import urllib.parse

peer, url, seconds, workers, connections = sys.argv[1], sys.argv[2], *map(float, sys.argv[3:])
workers, connections = int(workers), int(connections)


def processor_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measure(ask):
    clock = time.perf_counter_ns
    begin = clock() + 300_000_000
    end = begin + int(seconds * 1e9)
    samples = [[] for _ in range(workers)]

    async def work(mine):
        asked = clock()
        while asked < end:
            await ask()
            now = clock()
            if asked >= begin:
                mine.append(now - asked)
            asked = now

    async def meter():
        await asyncio.sleep((begin - clock()) / 1e9)
        before = processor_seconds()
        await asyncio.sleep((end - clock()) / 1e9)
        return processor_seconds() - before

    spent, *_ = await asyncio.gather(meter(), *(work(mine) for mine in samples))
    latencies = sorted(sample for mine in samples for sample in mine)
    total = len(latencies)
    print(json.dumps({
        "ops": total / seconds,
        "p50": latencies[total // 2] / 1e3,
        "p99": latencies[total * 99 // 100] / 1e3,
        "fairness": min(map(len, samples)) * workers / total,
        "cpu": spent / total * 1e6,
    }))


async def psycopg():
    from psycopg_pool import AsyncConnectionPool

    async with AsyncConnectionPool(
        url, min_size=connections, max_size=connections, kwargs={"autocommit": True}
    ) as pool:
        await pool.wait()

        async def ask():
            async with pool.connection() as connection:
                cursor = await connection.execute("SELECT 1", prepare=True)
                assert await cursor.fetchone() == (1,)

        await measure(ask)


async def asyncpg():
    import asyncpg as driver

    parts = urllib.parse.urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    host, _, port = place.rpartition(":")
    async with driver.create_pool(
        user=parts.username, password=parts.password, host=urllib.parse.unquote(host), port=int(port),
        database=parts.path[1:], min_size=connections, max_size=connections,
    ) as pool:

        async def ask():
            async with pool.acquire() as connection:
                assert await connection.fetchval("SELECT 1") == 1

        await measure(ask)


try:
    import uvloop

    uvloop.install()
except ImportError:
    pass
asyncio.run({"psycopg": psycopg, "asyncpg": asyncpg}[peer]())
