# SPDX-License-Identifier: MIT
"""The pool in asyncio's loop: worker processes, a group, a timer, a socket."""
import asyncio
import os

import kchan

JOBS, WORKERS = 50, 3


def work(member, jobs, results):
    """A worker process: until it is cancelled."""
    try:
        while True:
            n = int.from_bytes(jobs.recv(under=member), "little")
            results.send((n * n).to_bytes(8, "little"), under=member)
    except OSError:
        member.leave()
    os._exit(0)


async def client(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    print("a client was told:", (await reader.read()).decode(), flush=True)
    writer.close()


async def main():
    jobs_rx, jobs = kchan.make(8, 4)
    results, results_tx = kchan.make(8, 4)
    group = kchan.Group(timeout=20)
    for _ in range(WORKERS):
        member = group.join()
        if os.fork() == 0:
            for end in (jobs, results, group):
                end.close()
            work(member, jobs_rx, results_tx)
        member.close()
    jobs_rx.close()
    results_tx.close()

    async def feed():
        for n in range(1, JOBS + 1):
            await jobs.asend(n.to_bytes(8, "little"))

    feeder = asyncio.create_task(feed())
    total = 0
    for _ in range(JOBS):
        total += int.from_bytes(await results.arecv(), "little")
    await feeder
    print(f"{JOBS} squares, their sum is {total}", flush=True)

    async def answer(reader, writer):
        writer.write(str(total).encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    await client(server.sockets[0].getsockname()[1])
    asyncio.get_running_loop().call_later(0.02, group.cancel, 125, "enough for today")
    end = await group.ended()
    print("the group has ended:", end.why.decode(), flush=True)
    group.wait()
    print(group.info().members, "members are left,", group.info().failed, "failed", flush=True)


asyncio.run(main())
