# SPDX-License-Identifier: MIT
"""
The pool in asyncio's loop: worker processes, a group, a timer, a socket. Then
several that wait for one object, which say nothing unless it goes wrong.
"""
import asyncio
import os
import signal

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


async def pool():
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


def same(what, got, want):
    if got != want:
        raise AssertionError(f"{what}: {got}, not {want}")


async def parked(*coroutines):
    """Tasks, each of which has come to where it waits."""
    tasks = [asyncio.create_task(c) for c in coroutines]
    await asyncio.sleep(0)
    return tasks


async def two_on_one_end():
    rx, tx = kchan.make(8, 1)
    tasks = await parked(rx.arecv(), rx.arecv())
    tx.send(b"one")
    await tx.asend(b"two")
    same("each gets one", await asyncio.gather(*tasks), [b"one", b"two"])
    tx.send(b"fills it")
    tasks = await parked(tx.asend(b"three"), tx.asend(memoryview(b"four")))
    same("all that was sent", [rx.recv(timeout=0) for _ in range(3)],
         [b"fills it", b"three", b"four"])
    same("what sends say", await asyncio.gather(*tasks), [False, False])


async def rendezvous():
    rx, tx = kchan.make(8)
    same("one receives, one sends", await asyncio.gather(rx.arecv(), tx.asend(b"hello")),
         [b"hello", False])
    same("one sends, one receives", await asyncio.gather(tx.asend(b"again"), rx.arecv()),
         [False, b"again"])


async def cancelled():
    rx, tx = kchan.make(8, 4)
    task, idle = await parked(rx.arecv(), rx.arecv())
    tx.send(b"first")       # is handed to the task, which is cancelled before it runs
    for t in task, idle:
        t.cancel()
    await asyncio.wait([task, idle])
    tx.send(b"second")
    same("both are cancelled", (task.cancelled(), idle.cancelled()), (True, True))
    same("nobody waits", rx.info().parked_receivers, 0)
    same("nothing is lost", [rx.recv(timeout=0), rx.recv(timeout=0)], [b"first", b"second"])


async def two_see_the_end():
    group = kchan.Group()
    watch = group.watch()
    tasks = await parked(group.ended(), group.ended(), watch.ended(), watch.ended())
    group.cancel(why="over")
    same("why it ended", [i.why for i in await asyncio.gather(*tasks)], [b"over"] * 4)


def interrupted():
    rx, tx = kchan.make(8)
    ran = []
    signal.signal(signal.SIGALRM, lambda *_: ran.append(True))
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        same("nothing was sent", rx.recv(timeout=0.2), None)
    except TimeoutError:    # and no InterruptedError
        same("the handler has run", any(ran), True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


async def main():
    await pool()
    await two_on_one_end()
    await rendezvous()
    await cancelled()
    await two_see_the_end()
    interrupted()


asyncio.run(asyncio.wait_for(main(), 20))
