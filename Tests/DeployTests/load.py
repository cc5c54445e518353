"""Users of a service: asks URL so many times a second, whether or not earlier questions have been answered.

  load.py URL PER_SECOND

Prints a line for each question when it is over: when it was asked (Unix time, s), how long it took (ms), the status
(0: no answer), and the Shop-Version of the answer or what went wrong. SIGTERM ends it once the last is over.
"""

import asyncio
import signal
import sys
import time

import aiohttp

url, rate = sys.argv[1], float(sys.argv[2])


async def ask(session: aiohttp.ClientSession) -> None:
    asked, began = time.time(), time.monotonic()
    try:
        async with session.get(url) as answer:
            await answer.read()
            status, said = answer.status, answer.headers.get("Shop-Version", "-")
    except (aiohttp.ClientError, asyncio.TimeoutError) as error:
        status, said = 0, type(error).__name__
    print(f"{asked:.3f} {(time.monotonic() - began) * 1000:.1f} {status} {said}", flush=True)


async def main() -> None:
    is_over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, is_over.set)
    # Half of the users keep their connection, as browsers do, and half come once.
    kept = aiohttp.TCPConnector(limit=0)
    once = aiohttp.TCPConnector(limit=0, force_close=True)
    patience = aiohttp.ClientTimeout(total=20)
    async with (
        aiohttp.ClientSession(connector=kept, timeout=patience) as keeping,
        aiohttp.ClientSession(connector=once, timeout=patience) as coming,
    ):
        asked, began, questions = 0, time.monotonic(), set()
        while not is_over.is_set():
            question = asyncio.create_task(ask(coming if asked % 2 else keeping))
            questions.add(question)
            question.add_done_callback(questions.discard)
            asked += 1
            await asyncio.sleep(max(0, began + asked / rate - time.monotonic()))
        await asyncio.gather(*questions)


asyncio.run(main())
