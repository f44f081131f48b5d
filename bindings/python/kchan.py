# SPDX-License-Identifier: MIT
"""Channels and cancellation groups from Python, over libchan.

    rx, tx = kchan.make(msg_max=64, capacity=16)
    tx.send(b"hello")
    rx.recv()               # b"hello"

    for msg in rx:          # until the channel is shut
        print(msg)

Wrapped: channels, select, groups with their members, values and watches, kind(). A
message is any bytes-like object, and bytes when received. Every call that waits takes
`under` (a Group or a Watch, or None) and `timeout` (seconds; None: no limit;
0: never wait). If a signal comes meanwhile, Python's handlers run; unless one
raises, the call goes on, and its time is not prolonged.

An error of libchan is raised as OSError, or as the subclass that belongs to its
number: TimeoutError, BlockingIOError, ConnectionResetError. Receiving from a
channel that was shut without an error raises EOFError, and ends a `for`. Whatever
is done with a closed object, as `under` too, is EBADF. If /dev/kchan can't be opened
the error names it and says what to do.

select() does exactly one of several cases, and says which:

    i, result = kchan.select([kchan.Recv(rx), kchan.Send(tx, b"hello"), None])

The coroutines asend(), arecv(), aselect(), ended() and left() wait in asyncio's loop
and block nothing, and `async for msg in rx` does so. Each that waits does so on a
descriptor of its own: any number may wait for one object, and two meet on a rendezvous
channel. They take `under`; asyncio.timeout() limits them. A cancelled arecv() has lost
no message; an asend() that is cancelled, or whose group ends, may have sent. join() of
a group that is full is for a thread: asyncio.to_thread(group.join, under=stop).

Not wrapped: batches, descriptors in messages, io_uring, and fork and threads as
members. In a child of os.fork(), close what it is not to keep; fork while no
coroutine waits, or the child holds its descriptor too.
"""
import asyncio
import ctypes
import dataclasses
import errno
import os

__version__ = "0.1.0"
_lib = ctypes.CDLL("libchan.so.1", use_errno=True)
NOW = 0
FOREVER = 2**63 - 1
DROP_NEW, DROP_OLD = 1, 2
FAIL_FAST, FIRST_EXIT, DETACHED = 1, 2, 4
RX, TX, GROUP, WATCH, ARMED = 1, 2, 3, 4, 5
LIVE, ENDED = 0, 1
_SEND, _RECV, _POLL = 1, 2, 3
_PRIO = 1
_VALUE_MAX = 4096


class _Msg(ctypes.Structure):
    _fields_ = [("buf", ctypes.c_void_p), ("len", ctypes.c_size_t), ("fds", ctypes.c_void_p),
                ("nfds", ctypes.c_uint), ("res", ctypes.c_int)]


class _Case(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_int), ("op", ctypes.c_int), ("events", ctypes.c_uint),
                ("revents", ctypes.c_uint), ("msg", _Msg)]


class _Info(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint64) for n in (
        "id", "msg_max", "capacity", "len", "next_len", "senders", "receivers",
        "parked_senders", "parked_receivers", "sent", "received", "dropped")] + [
        (n, ctypes.c_uint32) for n in ("shut", "send_err", "recv_err", "reserved")]


class _GroupInfo(ctypes.Structure):
    _fields_ = [("id", ctypes.c_uint64), ("parent_id", ctypes.c_uint64),
                ("deadline", ctypes.c_int64)] + [
        (n, ctypes.c_uint64) for n in ("members", "limit", "children", "failed")] + [
        (n, ctypes.c_uint32) for n in ("state", "err", "by_pid")] + [
        ("why", ctypes.c_char * 128), ("reserved", ctypes.c_uint32)]


_int, _uint, _i64 = ctypes.c_int, ctypes.c_uint, ctypes.c_int64
_size, _ssize = ctypes.c_size_t, ctypes.c_ssize_t
_ptr, _str = ctypes.c_void_p, ctypes.c_char_p
for _name, _res, _args in (
        ("chan_after", _i64, [_i64]),
        ("chan_make", _int, [_ptr, _size, _uint, _uint]),
        ("chan_make_on", _int, [_int, _ptr, _size, _uint, _uint]),
        ("chan_send", _int, [_int, _str, _size, _int, _i64]),
        ("chan_recv", _ssize, [_int, _ptr, _size, _int, _i64]),
        ("chan_select", _int, [_ptr, _uint, _uint, _int, _i64]),
        ("chan_arm", _int, [_ptr, _uint, _uint]),
        ("chan_fired", _int, [_int, _ptr, _uint]),
        ("chan_rearm", _int, [_int, _ptr, _uint]),
        ("chan_shut", _int, [_int, _int]),
        ("chan_info", _int, [_int, _ptr, _size]),
        ("chan_kind", _int, [_int]),
        ("chan_group", _int, [_int, _i64, _uint, _uint]),
        ("chan_watch", _int, [_int]),
        ("chan_join", _int, [_int, _int, _i64]),
        ("chan_leave", _int, [_int, _int, _str]),
        ("chan_cancel", _int, [_int, _int, _str]),
        ("chan_wait", _int, [_int, _ptr, _int, _i64]),
        ("chan_group_info", _int, [_int, _ptr, _size]),
        ("chan_value_set", _int, [_int, _str, _str, _size]),
        ("chan_value_get", _ssize, [_int, _str, _ptr, _size])):
    _fn = getattr(_lib, _name)
    _fn.restype, _fn.argtypes = _res, _args


@dataclasses.dataclass(frozen=True)
class Info:
    """What chan_info(3) says of a channel."""
    id: int
    msg_max: int
    capacity: int
    len: int                # messages buffered now
    next_len: int           # bytes of the next
    senders: int
    receivers: int
    parked_senders: int
    parked_receivers: int
    sent: int
    received: int
    dropped: int
    shut: int               # bit 0: sends, bit 1: receives
    send_err: int
    recv_err: int


@dataclasses.dataclass(frozen=True)
class GroupInfo:
    """What chan_group_info(3) says of a group."""
    id: int
    parent_id: int          # 0: a root
    deadline: int           # FOREVER: none
    members: int
    limit: int
    children: int
    failed: int
    state: int              # LIVE, ENDED
    err: int
    by_pid: int
    why: bytes


_DEVICE = "/dev/kchan"
_ADVICE = {
    errno.ENOENT: "the module is not loaded; try: modprobe kchan",
    errno.EACCES: "only root and the group kchan may open it; try: usermod -aG kchan USER",
}


def _check(r):
    if r < 0:
        raise OSError(-r, os.strerror(-r))
    return r


def _check_device(r):
    """Of a call that opens the device, and gets these errors from nothing else."""
    if -r in _ADVICE:
        raise OSError(-r, f"{os.strerror(-r)} ({_ADVICE[-r]})", _DEVICE)
    return _check(r)


def _waiting(fn, *args):
    """A call that waits: once more if a signal interrupts it, with the same deadline."""
    while True:
        r = fn(*args)       # the handlers have run before the next line
        if r != -errno.EINTR:
            return r


def _deadline(timeout):
    if timeout is None:
        return FOREVER
    return _lib.chan_after(int(min(max(timeout, 0) * 1e9, FOREVER))) if timeout else NOW


def _fd(obj):
    """The descriptor of an object that is open; -1, which is none, of None alone."""
    if obj is None:
        return -1
    fd = obj.fileno()
    if fd < 0:
        raise OSError(errno.EBADF, f"{type(obj).__name__} is closed")
    return fd


def _bytes(obj):
    return obj if isinstance(obj, bytes) else memoryview(obj).tobytes()


def _text(s):
    if "\0" in s:
        raise ValueError("embedded null character")
    return s.encode()


def _filled(fn, obj, info):
    _check(fn(_fd(obj), ctypes.byref(info), ctypes.sizeof(info)))
    return info


def _as(cls, info):
    return cls(*(getattr(info, f.name) for f in dataclasses.fields(cls)))


def kind(fd):
    """What a descriptor is: RX, TX, GROUP, WATCH or ARMED; OSError (ENOTTY) if none of these."""
    return _check(_lib.chan_kind(fd))


class _Descriptor:
    """Owns a descriptor: close() it, or leave a `with` block."""

    _fd = -1                # also if a constructor fails

    def __init__(self, fd):
        self._fd = fd

    def __repr__(self):
        return f"<kchan.{type(self).__name__} {f'fd={self._fd}' if self._fd >= 0 else 'closed'}>"

    def fileno(self):
        """-1 once it is closed."""
        return self._fd

    def close(self):
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __del__(self):
        self.close()


async def _ready(*own, writable=False):
    """
    Wait, in asyncio's loop, for any of these, which nobody else watches there: until it
    is readable, the first one perhaps writable.
    """
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    fds = [_fd(o) for o in own if o is not None]

    def wake():
        if not ready.done():
            ready.set_result(None)

    try:
        for fd in fds:
            if writable and fd == fds[0]:
                loop.add_writer(fd, wake)
            else:
                loop.add_reader(fd, wake)
        await ready
    finally:
        for fd in fds:
            loop.remove_reader(fd)
            loop.remove_writer(fd)


class _Nothing:
    """In place of another descriptor for None."""

    def __enter__(self):
        return None

    def __exit__(self, *exc):
        pass


def _own(group):
    return _Nothing() if group is None else group._another()


def _obey(under):
    """Raise what a call under a group that has ended gets."""
    if under is not None:
        r = _lib.chan_select(None, 0, 0, _fd(under), NOW)
        if r != -errno.EAGAIN:
            _check(r)


class _Messages:
    """Of a receiving end, until it is shut, for `for` and for `async for`."""

    def __init__(self, rx, under):
        self._rx, self._under = rx, under

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self._rx.recv(under=self._under)
        except EOFError:
            raise StopIteration from None

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return await self._rx.arecv(under=self._under)
        except EOFError:
            raise StopAsyncIteration from None


class _End(_Descriptor):
    def shut(self, err=0):
        _check(_lib.chan_shut(_fd(self), err))

    def info(self):
        return _as(Info, _filled(_lib.chan_info, self, _Info()))


class Receiver(_End):
    """Receives: `for msg in rx` does so until the channel is shut, and raises if it broke."""

    def __init__(self, fd):
        self._fd = fd
        try:
            self._room = self.info().msg_max
        except OSError:
            self._fd = -1       # it stays the caller's
            raise

    def recv(self, under=None, timeout=None):
        buf = ctypes.create_string_buffer(self._room)
        return _message(buf, _waiting(_lib.chan_recv, _fd(self), buf, self._room,
                                      _fd(under), _deadline(timeout)))

    async def arecv(self, under=None):
        try:
            return self.recv(under=under, timeout=0)
        except BlockingIOError:
            return (await _parked([Recv(self)], 0, under))[1]

    def messages(self, under=None):
        """What `for` and `async for` go through, under a group."""
        return _Messages(self, under)

    def __iter__(self):
        return self.messages()

    def __aiter__(self):
        return self.messages()


class Sender(_End):
    def send(self, msg, under=None, timeout=None):
        """True: a message was dropped."""
        msg = _bytes(msg)
        return _check(_waiting(_lib.chan_send, _fd(self), msg, len(msg),
                               _fd(under), _deadline(timeout))) == 1

    async def asend(self, msg, under=None):
        msg = _bytes(msg)
        try:
            return self.send(msg, under=under, timeout=0)
        except BlockingIOError:
            return (await _parked([Send(self, msg)], 0, under))[1]


# ---- select ----

def _message(buf, n):
    if n == -errno.EPIPE:
        raise EOFError
    return ctypes.string_at(buf, _check(n))


@dataclasses.dataclass(frozen=True)
class Recv:
    """A case: receive from this end. Its result is the message."""
    rx: Receiver

    def _fill(self, case):
        buf = ctypes.create_string_buffer(self.rx._room)
        case.fd, case.op = _fd(self.rx), _RECV
        case.msg.buf, case.msg.len = ctypes.addressof(buf), len(buf)
        return buf

    def _result(self, case, buf):
        return _message(buf, case.msg.res)


@dataclasses.dataclass(frozen=True)
class Send:
    """A case: send this message. Its result is whether a message was dropped."""
    tx: Sender
    msg: bytes

    def _fill(self, case):
        msg = _bytes(self.msg)
        buf = ctypes.create_string_buffer(msg, len(msg))
        case.fd, case.op = _fd(self.tx), _SEND
        case.msg.buf, case.msg.len = ctypes.addressof(buf), len(buf)
        return buf

    def _result(self, case, buf):
        return _check(case.msg.res) == 1


@dataclasses.dataclass(frozen=True)
class Poll:
    """A case: poll(2) this object or descriptor for these events. Its result is those seen."""
    obj: object
    events: int

    def _fill(self, case):
        case.fd = self.obj if isinstance(self.obj, int) else _fd(self.obj)
        case.op, case.events = _POLL, self.events
        if case.fd < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def _result(self, case, buf):
        return case.revents


def _array(cases):
    """The cases as the library wants them, and the memory that they name."""
    array, bufs = (_Case * len(cases))(), []
    for case, into in zip(cases, array):
        into.fd, into.op = -1, _RECV            # out, if there is none
        bufs.append(None if case is None else case._fill(into))
    return array, bufs


def _done(cases, array, bufs, i):
    try:
        return i, cases[i]._result(array[i], bufs[i])
    except (OSError, EOFError) as e:
        e.case = i
        raise


def select(cases, under=None, timeout=None, prio=False):
    """
    Do exactly one of the cases: its index and its result. A case is a Recv, a Send or a
    Poll; None is out. Which one, if several are ready, is random; prio: the first.
    If it was done with an error, that is raised, and its attribute `case` is the index.
    """
    cases = list(cases)
    array, bufs = _array(cases)
    i = _check_device(_waiting(_lib.chan_select, array, len(cases), _PRIO if prio else 0,
                               _fd(under), _deadline(timeout)))
    return _done(cases, array, bufs, i)


async def _parked(cases, flags, under):
    """Cases by an armed select; leaving the block early takes them back."""
    array, bufs = _array(cases)
    with _own(under) as group, \
            _Descriptor(_check_device(_lib.chan_arm(array, len(cases), flags))) as armed:
        while True:
            await _ready(armed, group)
            i = _lib.chan_fired(_fd(armed), array, len(cases))
            if i != -errno.EAGAIN:
                break
            _obey(group)
    return _done(cases, array, bufs, _check(i))


async def aselect(cases, under=None, prio=False):
    """As select(), in asyncio's loop, without a Poll."""
    cases = list(cases)
    if any(isinstance(case, Poll) for case in cases):
        raise ValueError("a Poll is for select() or for the loop")
    try:
        return select(cases, under=under, timeout=0, prio=prio)
    except BlockingIOError as e:
        if hasattr(e, "case"):
            raise
        return await _parked(cases, _PRIO if prio else 0, under)


# ---- groups ----

class Watch(_Descriptor):
    """To obey a group by: waits for it, runs under it, is a parent, reads values and info."""

    def wait(self, under=None, timeout=None):
        """Until no member is left: the first failed member's error, or 0."""
        first = ctypes.c_int()
        _check(_waiting(_lib.chan_wait, _fd(self), ctypes.byref(first),
                        _fd(under), _deadline(timeout)))
        return first.value

    def info(self):
        return _as(GroupInfo, _filled(_lib.chan_group_info, self, _GroupInfo()))

    def get(self, key, default=None):
        """The value of the group, or of the nearest above that has one; else the default."""
        buf = ctypes.create_string_buffer(_VALUE_MAX)
        n = _lib.chan_value_get(_fd(self), _text(key), buf, len(buf))
        return default if n == -errno.ENODATA else ctypes.string_at(buf, _check(n))

    def _another(self):
        return Watch(os.dup(_fd(self)))

    async def ended(self, under=None):
        """Wait until it has ended: its info, with err, why and by_pid."""
        with self._another() as own, _own(under) as group:
            while True:
                _obey(group)
                info = own.info()
                if info.state == ENDED:
                    return info
                await _ready(own, group)

    async def left(self, under=None):
        """Wait until no member is left: as wait()."""
        with self._another() as own, _own(under) as group:
            while True:
                try:
                    return own.wait(under=group, timeout=0)
                except BlockingIOError:
                    await _ready(own, group, writable=True)


class Group(Watch):
    """An owner: what a watch can do, and to command."""

    def __init__(self, parent=None, timeout=None, flags=0, limit=0, fd=None):
        if fd is None:
            check = _check_device if parent is None else _check
            fd = check(_lib.chan_group(_fd(parent), _deadline(timeout), flags, limit))
        super().__init__(fd)

    def watch(self):
        return Watch(_check(_lib.chan_watch(_fd(self))))

    _another = watch        # not a copy: the group ends when the last owner closes

    def join(self, under=None, timeout=None):
        return Group(fd=_check(_waiting(_lib.chan_join, _fd(self),
                                        _fd(under), _deadline(timeout))))

    def leave(self, err=0, why=""):
        _check(_lib.chan_leave(_fd(self), err, _text(why)))

    def cancel(self, err=errno.ECANCELED, why=""):
        _check(_lib.chan_cancel(_fd(self), err, _text(why)))

    def set(self, key, value):
        """Once for each key, for the group and all below it."""
        value = _bytes(value)
        _check(_lib.chan_value_set(_fd(self), _text(key), value, len(value)))


def make(msg_max, capacity=0, flags=0, device=None):
    """A channel: its receiving and its sending end. device: an open /dev/kchan, or none."""
    end = (ctypes.c_int * 2)()
    if device is None:
        _check_device(_lib.chan_make(end, msg_max, capacity, flags))
    else:
        _check(_lib.chan_make_on(_fd(device), end, msg_max, capacity, flags))
    return Receiver(end[0]), Sender(end[1])
