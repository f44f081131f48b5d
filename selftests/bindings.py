# SPDX-License-Identifier: MIT
"""kchan.py: what is Python's about it. The calls themselves are tested in C."""
import asyncio
import dataclasses
import errno
import gc
import os
import select
import socket
import tempfile
import traceback

import kchan

SOON = 20
tests = []


def test(fn):
    tests.append(fn)
    return fn


def same(got, want):
    if got != want:
        raise AssertionError(f"{got!r}, not {want!r}")


def is_error(what, e):
    """Of this type, or with this number?"""
    same(e.errno if isinstance(what, int) else type(e), what)
    return e


def raises(what, fn, *args, **kw):
    """The error that the call must end with."""
    try:
        r = fn(*args, **kw)
    except (OSError, EOFError, ValueError) as e:
        return is_error(what, e)
    raise AssertionError(f"{r!r}, and no {what}")


def fds():
    gc.collect()            # what earlier tests left in tracebacks closes now, not later
    return len(os.listdir("/proc/self/fd"))


async def parked(*coroutines):
    """Tasks, each of which has come to where it waits."""
    tasks = [asyncio.create_task(c) for c in coroutines]
    await asyncio.sleep(0)
    return tasks


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, SOON))


async def araises(what, coroutine):
    try:
        r = await coroutine
    except (OSError, EOFError, ValueError) as e:
        return is_error(what, e)
    raise AssertionError(f"{r!r}, and no {what}")


def closed_group():
    g = kchan.Group()
    g.close()
    return g


def in_child(fn):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            fn()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    same(os.waitpid(pid, 0)[1], 0)


@test
def a_closed_group_is_not_no_group():
    rx, tx = kchan.make(8, 1)
    h, gone = kchan.Group(), closed_group()
    before = fds()
    tx.send(b"there")
    for call in (lambda: rx.recv(under=gone), lambda: rx.recv(under=gone, timeout=0),
                 lambda: h.wait(under=gone), lambda: h.join(under=gone),
                 lambda: kchan.Group(parent=gone), lambda: kchan.select([], under=gone),
                 lambda: kchan.select([kchan.Recv(rx)], under=gone),
                 lambda: next(rx.messages(under=gone)),
                 lambda: run(rx.arecv(under=gone)), lambda: run(h.ended(under=gone)),
                 lambda: run(h.left(under=gone)),
                 lambda: run(kchan.aselect([kchan.Recv(rx)], under=gone))):
        raises(errno.EBADF, call)
    same(rx.recv(timeout=0), b"there")
    raises(errno.EBADF, tx.send, b"x", under=gone, timeout=0)
    raises(errno.EBADF, lambda: run(tx.asend(b"x", under=gone)))
    same((rx.info().len, h.info().members, fds()), (0, 0, before))
    h.cancel()
    with h.watch() as w:
        pass
    raises(errno.EBADF, rx.recv, under=w)


@test
def nothing_can_be_done_with_what_is_closed():
    rx, tx = kchan.make(8, 1)
    g = kchan.Group()
    w = g.watch()
    for o in rx, tx, g, w, rx:
        o.close()
    for call in (rx.recv, rx.info, rx.shut, lambda: next(iter(rx)), lambda: tx.send(b""), g.watch,
                 g.join, g.leave, g.cancel, lambda: g.set("a", b""), lambda: w.get("a"), w.info,
                 w.wait, lambda: kchan.select([kchan.Recv(rx)], timeout=0),
                 lambda: kchan.select([kchan.Send(tx, b"")], timeout=0),
                 lambda: kchan.select([kchan.Poll(tx, select.POLLIN)], timeout=0),
                 lambda: kchan.select([kchan.Poll(-1, select.POLLIN)], timeout=0),
                 lambda: run(rx.arecv()), lambda: run(tx.asend(b"")), lambda: run(g.ended()),
                 lambda: run(w.left()), lambda: run(kchan.aselect([kchan.Recv(rx)]))):
        raises(errno.EBADF, call)


@test
def a_channel_is_made_on_the_device():
    with open("/dev/kchan", "r+b", buffering=0) as device:
        for _ in range(2):
            rx, tx = kchan.make(8, 1, device=device)
            tx.send(b"there", timeout=0)
            same(rx.recv(timeout=0), b"there")
        same(kchan.Group(parent=device).info().parent_id, 0)
        raises(errno.EBADF, kchan.make, 8, 1, device=rx)
        raises(errno.EINVAL, kchan.make, 8, 0, kchan.DROP_NEW, device=device)


@test
def it_says_what_it_is():
    rx, tx = kchan.make(8)
    g = kchan.Group()
    same(repr(rx), f"<kchan.Receiver fd={rx.fileno()}>")
    same(repr(g.watch())[:16], "<kchan.Watch fd=")
    same(repr(kchan.Send(tx, b"x")), f"Send(tx={tx!r}, msg=b'x')")
    tx.close()
    same((repr(tx), tx.fileno()), ("<kchan.Sender closed>", -1))


@test
def info_is_a_dataclass():
    rx, tx = kchan.make(8, 3)
    tx.send(b"four")
    tx.shut(errno.EIO)
    i = rx.info()
    same(i, tx.info())
    same(dataclasses.asdict(i), {
        "id": i.id, "msg_max": 8, "capacity": 3, "len": 1, "next_len": 4, "senders": 1,
        "receivers": 1, "parked_senders": 0, "parked_receivers": 0, "sent": 1, "received": 0,
        "dropped": 0, "shut": 1, "send_err": errno.EIO, "recv_err": 0})
    root = kchan.Group()
    g = kchan.Group(parent=root, limit=5)
    m = g.join()
    g.cancel(errno.ENOSPC, "full")
    same(dataclasses.asdict(g.info()), {
        "id": g.info().id, "parent_id": root.info().id, "deadline": kchan.FOREVER, "members": 1,
        "limit": 5, "children": 0, "failed": 0, "state": kchan.ENDED, "err": errno.ENOSPC,
        "by_pid": os.getpid(), "why": b"full"})
    same(m.info().why, b"full")
    try:
        i.len = 2
        raise AssertionError("it can be changed")
    except dataclasses.FrozenInstanceError:
        pass


@test
def for_goes_on_until_the_channel_is_shut():
    rx, tx = kchan.make(8, 4)
    for word in b"one", b"", b"three":
        tx.send(word)
    tx.shut()
    same(list(rx), [b"one", b"", b"three"])
    same(list(rx), [])


@test
def for_raises_where_the_channel_broke():
    rx, tx = kchan.make(8, 4)
    tx.send(b"one")
    tx.close()
    it = iter(rx)
    same(next(it), b"one")
    raises(ConnectionResetError, next, it)


@test
def for_obeys_a_group():
    rx, tx = kchan.make(8, 4)
    g = kchan.Group()
    tx.send(b"one")
    it = rx.messages(under=g.watch())
    same(next(it), b"one")
    g.cancel()
    tx.send(b"two")
    raises(errno.ECANCELED, next, it)
    same(rx.recv(timeout=0), b"two")


@test
def async_for_is_the_same():
    async def body():
        rx, tx = kchan.make(8)

        async def feed():
            for word in b"one", b"", b"three":
                await tx.asend(word)
            tx.shut()

        feeder = asyncio.create_task(feed())
        same([m async for m in rx], [b"one", b"", b"three"])
        await feeder
        rx, tx = kchan.make(8, 4)
        g = kchan.Group()
        tx.send(b"one")
        it = rx.messages(under=g)
        same(await anext(it), b"one")
        task, = await parked(araises(errno.ECANCELED, anext(it)))
        same(rx.info().parked_receivers, 1)
        g.cancel()
        await task
        same(rx.info().parked_receivers, 0)
        tx.close()
        await araises(ConnectionResetError, anext(aiter(rx)))
    run(body())


@test
def select_does_one_case_and_says_which():
    rx, tx = kchan.make(8, 1)
    other, full = kchan.make(8, 1)
    full.send(b"fills it")
    a, b = socket.socketpair()
    cases = [kchan.Recv(rx), kchan.Send(full, b"no room"), kchan.Poll(a, select.POLLIN),
             kchan.Poll(a.fileno(), select.POLLIN), None]
    before = fds()
    raises(BlockingIOError, kchan.select, cases, timeout=0)
    raises(TimeoutError, kchan.select, cases, timeout=0.01)
    tx.send(b"hello")
    same(kchan.select(cases, timeout=SOON), (0, b"hello"))
    same(other.recv(), b"fills it")
    same(kchan.select(cases, timeout=SOON), (1, False))
    b.send(b"x")
    i, events = kchan.select(cases, timeout=SOON)
    same((i in (2, 3), events), (True, select.POLLIN))
    same(kchan.select(iter(cases), timeout=SOON, prio=True), (2, select.POLLIN))
    same(other.recv(), b"no room")
    same(fds(), before)
    a.close()
    b.close()


@test
def select_chooses_any_or_the_first():
    rx, tx = kchan.make(8, 100)
    for _ in range(100):
        tx.send(b"")
    for _ in range(30):
        same(kchan.select([kchan.Recv(rx), kchan.Recv(rx)], prio=True), (0, b""))
    same({kchan.select([kchan.Recv(rx), kchan.Recv(rx)])[0] for _ in range(70)}, {0, 1})


@test
def select_drops_where_the_channel_does():
    rx, tx = kchan.make(8, 1, kchan.DROP_OLD)
    same(kchan.select([kchan.Send(tx, b"one")]), (0, False))
    same(kchan.select([None, kchan.Send(tx, memoryview(b"two"))]), (1, True))
    same(rx.recv(), b"two")


@test
def an_error_of_a_case_names_it():
    rx, tx = kchan.make(8, 1)
    idle, keep = kchan.make(8, 1)
    tx.send(b"last")
    tx.shut()
    cases = [kchan.Recv(idle), kchan.Recv(rx)]
    same(kchan.select(cases), (1, b"last"))
    e = raises(EOFError, kchan.select, cases)
    same(e.case, 1)
    cases[e.case] = None
    raises(BlockingIOError, kchan.select, cases, timeout=0)
    same(hasattr(raises(BlockingIOError, kchan.select, cases, timeout=0), "case"), False)
    keep.close()
    same(raises(ConnectionResetError, kchan.select, cases).case, 0)
    same(raises(BrokenPipeError, kchan.select, [kchan.Send(tx, b"x")]).case, 0)
    raises(errno.EMSGSIZE, kchan.select, [kchan.Send(kchan.make(2, 1)[1], b"long")])
    raises(errno.EBADF, kchan.select, [kchan.Send(rx, b"x")])


@test
def select_obeys_a_group():
    rx, _tx = kchan.make(8)
    g = kchan.Group(timeout=0.02)
    raises(TimeoutError, kchan.select, [kchan.Recv(rx)], under=g)
    raises(TimeoutError, kchan.select, [], under=g)
    h = kchan.Group()
    h.cancel()
    raises(errno.ECANCELED, kchan.select, [None], under=h.watch())


@test
def aselect_waits_in_the_loop():
    async def body():
        rx, tx = kchan.make(8)
        other, full = kchan.make(8, 1)
        full.send(b"fills it")
        cases = [kchan.Recv(rx), None, kchan.Send(full, b"more")]
        before = fds()
        task, = await parked(kchan.aselect(cases))
        same((rx.info().parked_receivers, full.info().parked_senders), (1, 1))
        tx.send(b"hello", timeout=0)
        same(await task, (0, b"hello"))
        same((rx.info().parked_receivers, full.info().parked_senders), (0, 0))
        task, = await parked(kchan.aselect(cases, prio=True))
        same(other.recv(timeout=0), b"fills it")
        same(await task, (2, False))
        same(await kchan.aselect([kchan.Recv(other)]), (0, b"more"))
        task, = await parked(kchan.aselect(cases[:1]))
        tx.shut()
        same((await araises(EOFError, task)).case, 0)
        await araises(ValueError, kchan.aselect([kchan.Poll(0, select.POLLIN)]))
        same(fds(), before)
    run(body())


@test
def coroutines_obey_a_group():
    async def body():
        rx, tx = kchan.make(8)
        idle, watched = kchan.Group(), kchan.Group()
        member = idle.join()
        before = fds()
        for end, want in (("deadline", errno.ETIMEDOUT), ("cancel", errno.ECANCELED)):
            g = kchan.Group(timeout=0.05) if end == "deadline" else kchan.Group()
            for under in g, g.watch():
                tasks = await parked(*(araises(want, c) for c in (
                    rx.arecv(under=under), watched.ended(under=under), idle.left(under=under),
                    kchan.aselect([kchan.Recv(rx)], under=under), kchan.aselect([], under=under))))
                if end == "cancel":
                    g.cancel(errno.EIO)
                await asyncio.gather(*tasks)
                await araises(want, tx.asend(b"x", under=under))
            under.close()
            g.close()
        full, fill = kchan.make(8, 1)
        fill.send(b"fills it")
        g = kchan.Group()
        task, = await parked(araises(errno.ECANCELED, fill.asend(b"x", under=g)))
        same(full.info().parked_senders, 1)
        g.cancel()
        await task
        same((full.info().parked_senders, full.info().len, rx.info().parked_receivers), (0, 1, 0))
        for o in full, fill, g:
            o.close()
        same((fds(), member.info().state), (before, kchan.LIVE))
    run(body())


@test
def what_was_done_counts_though_the_group_ends():
    async def body():
        rx, tx = kchan.make(8)
        g = kchan.Group()
        task, = await parked(rx.arecv(under=g))
        tx.send(b"first", timeout=0)        # both have happened before the task runs
        g.cancel()
        same(await task, b"first")
    run(body())


@test
def left_waits_for_members():
    async def body():
        g = kchan.Group()
        same(await g.left(), 0)
        one, two = g.join(), g.join()
        before = fds()
        tasks = await parked(g.left(), g.watch().left())
        one.leave()
        await asyncio.sleep(0.02)
        same([t.done() for t in tasks], [False, False])
        two.leave(errno.ENOSPC, "full")
        same(await asyncio.gather(*tasks), [errno.ENOSPC] * 2)
        same(fds(), before)
        third = g.join()
        pid = os.fork()
        if pid == 0:
            os._exit(0)                     # it has a copy of the member, and closes it
        third.close()
        same(await g.left(), errno.ENOSPC)
        same(g.info().failed, 2)
        os.waitpid(pid, 0)
    run(body())


@test
def a_cancelled_coroutine_leaves_nothing_behind():
    async def body():
        rx, _tx = kchan.make(8)
        g, under = kchan.Group(), kchan.Group()
        m = g.join()
        before = fds()
        tasks = await parked(rx.arecv(under=under), kchan.aselect([kchan.Recv(rx)]), g.left(),
                             g.ended(under=under))
        same(rx.info().parked_receivers, 2)
        for t in tasks:
            t.cancel()
        await asyncio.wait(tasks)
        same([t.cancelled() for t in tasks], [True] * 4)
        same((rx.info().parked_receivers, fds()), (0, before))
        m.leave()
    run(body())


def names_the_device(number, advice):
    rx, tx = made
    for call in (lambda: kchan.make(8), kchan.Group, lambda: kchan.select([]),
                 lambda: kchan.select([None]), lambda: run(kchan.aselect([]))):
        e = raises(number, call)
        same((e.filename, advice in str(e)), ("/dev/kchan", True))
    # what needs no device works, and an error of the same number is the group's
    tx.send(b"x", timeout=SOON)
    same(kchan.select([kchan.Recv(rx)]), (0, b"x"))
    g = kchan.Group(parent=root)
    g.cancel(number)
    e = raises(number, g.join)
    same((e.filename, advice in str(e)), (None, False))


made, root = kchan.make(8, 1), kchan.Group()


@test
def without_the_device_it_says_how_to_get_it():
    def child():
        run(asyncio.sleep(0))               # what that loads is not there below
        os.chroot(tempfile.mkdtemp())
        names_the_device(errno.ENOENT, "modprobe kchan")
    in_child(child)


@test
def who_may_not_open_the_device_is_told_who_may():
    def child():
        os.setresuid(12345, 12345, 12345)
        names_the_device(errno.EACCES, "group kchan")
    in_child(child)


@test
def an_end_that_is_none_stays_the_callers():
    r, w = os.pipe()
    raises(errno.ENOTTY, kchan.Receiver, r)
    os.write(w, b"x")
    same(os.read(r, 1), b"x")
    os.close(r)
    os.close(w)


print(f"1..{len(tests)}")
bad = 0
for n, fn in enumerate(tests, 1):
    try:
        fn()
        print(f"ok {n} {fn.__name__}", flush=True)
    except BaseException:
        bad += 1
        print(f"not ok {n} {fn.__name__}", flush=True)
        print("# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
os._exit(bad > 0)
