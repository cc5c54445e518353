"""An application with a pool of its own, with Warmgate beside it. README.md says what each pattern is for.

Settings are variables: DATABASE_URL, LISTEN (127.0.0.1:8080), VERSION, POOL_MIN (2), POOL_MAX (5).
"""

import asyncio
import logging
import os
import socket

import psycopg
from aiohttp import web
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

LISTEN = os.environ.get("LISTEN", "127.0.0.1:8080")
VERSION = os.environ.get("VERSION", "1")

pool = AsyncConnectionPool(
    os.environ.get("DATABASE_URL", ""),
    min_size=int(os.environ.get("POOL_MIN", "2")),
    max_size=int(os.environ.get("POOL_MAX", "5")),
    # A user waits less than its browser does (pattern 4). More than arrive in that time need not begin to wait.
    timeout=3,
    max_waiting=200,
    # A session that the server has closed is found out before it is lent, and not by a user (pattern 3).
    check=AsyncConnectionPool.check_connection,
    # Whose session it is: `warmgate serve --app-name-prefix shop/HOST` finds this pod's leaks by it.
    kwargs={"application_name": f"shop/{socket.gethostname()}", "connect_timeout": 5, "autocommit": True},
    open=False,
)
is_warm = False


async def page(_: web.Request) -> web.Response:
    try:
        async with pool.connection() as db:
            row = await (await db.execute("select count(*) from product")).fetchone()
        return web.Response(text=f"{row[0]} products\n", headers={"Shop-Version": VERSION})
    except (psycopg.Error, PoolTimeout, TooManyRequests) as error:
        # Quick and honest: whoever asks knows that it may ask again (pattern 5).
        logging.warning("no answer for a user: %s", type(error).__name__)
        return web.Response(status=503, text="please try again\n", headers={"Retry-After": "1", "Shop-Version": VERSION})


async def healthz(_: web.Request) -> web.Response:
    """What only the application knows: that it listens and has had its pool once. It never asks the database (pattern 2)."""
    return web.Response(status=200 if is_warm else 503, text="ok\n" if is_warm else "its pool is filling\n")


async def warm() -> None:
    global is_warm
    while not is_warm:
        try:
            await pool.wait(timeout=30)
            is_warm = True
        except PoolTimeout:
            logging.warning("its pool is not full yet")


async def life(_: web.Application):
    await pool.open()
    warming = asyncio.create_task(warm())
    yield
    warming.cancel()
    await pool.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/healthz", healthz)])
    app.cleanup_ctx.append(life)
    host, _, port = LISTEN.rpartition(":")
    # SIGTERM: nobody is accepted any more, and who is being served is served, for 25 s at most (pattern 6).
    web.run_app(app, host=host, port=int(port), shutdown_timeout=25, access_log=None, print=None)
