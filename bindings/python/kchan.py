# SPDX-License-Identifier: MIT
"""Channels and cancellation groups from Python, over libchan.

    rx, tx = kchan.make(msg_max=64, capacity=16)
    tx.send(b"hello")
    rx.recv()               # b"hello"

Wrapped: channels, groups with their members, values and watches, kind(). A message
is any bytes-like object, and bytes when received. Every call that waits takes
`under` (a Group or a Watch, or None) and `timeout` (seconds; None: no limit;
0: never wait). If a signal comes meanwhile, Python's handlers run; unless one
raises, the call goes on, and its time is not prolonged.

An error of libchan is raised as OSError, or as the subclass that belongs to its
number: TimeoutError, BlockingIOError, ConnectionResetError. Receiving from a
channel that was shut without an error raises EOFError.

The coroutines asend(), arecv() and ended() wait in asyncio's loop and block
nothing. Each that waits does so on a descriptor of its own: any number may wait
for one object, and two meet on a rendezvous channel. asyncio.timeout() limits
them. A cancelled arecv() has lost no message; a cancelled asend() may have sent.

Not wrapped: select over many cases, batches, descriptors in messages, io_uring,
and fork and threads as members. In a child of os.fork(), close what it is not
to keep; fork while no coroutine waits, or the child holds its descriptor too.
"""
import asyncio
import ctypes
import errno
import os

_lib = ctypes.CDLL("libchan.so.1", use_errno=True)
NOW = 0
FOREVER = 2**63 - 1
DROP_NEW, DROP_OLD = 1, 2
FAIL_FAST, FIRST_EXIT, DETACHED = 1, 2, 4
RX, TX, GROUP, WATCH, ARMED = 1, 2, 3, 4, 5
LIVE, ENDED = 0, 1
_SEND, _RECV = 1, 2
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
        ("chan_send", _int, [_int, _str, _size, _int, _i64]),
        ("chan_recv", _ssize, [_int, _ptr, _size, _int, _i64]),
        ("chan_arm", _int, [_ptr, _uint, _uint]),
        ("chan_fired", _int, [_int, _ptr, _uint]),
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


def _check(r):
    if r < 0:
        raise OSError(-r, os.strerror(-r))
    return r


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
    return -1 if obj is None else obj.fileno()


def _bytes(obj):
    return obj if isinstance(obj, bytes) else memoryview(obj).tobytes()


def _text(s):
    if "\0" in s:
        raise ValueError("embedded null character")
    return s.encode()


def _filled(fn, fd, info):
    _check(fn(fd, ctypes.byref(info), ctypes.sizeof(info)))
    return info


def kind(fd):
    """What a descriptor is: RX, TX, GROUP, WATCH or ARMED; OSError (ENOTTY) if none of these."""
    return _check(_lib.chan_kind(fd))


class _Descriptor:
    """Owns a descriptor: close() it, or leave a `with` block."""

    _fd = -1                # also if a constructor fails

    def __init__(self, fd):
        self._fd = fd

    def fileno(self):
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


async def _readable(own):
    """Wait, in asyncio's loop, for a descriptor that nobody else watches there."""
    loop, fd = asyncio.get_running_loop(), own.fileno()
    ready = loop.create_future()
    loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(fd)


class _End(_Descriptor):
    def shut(self, err=0):
        _check(_lib.chan_shut(self._fd, err))

    def info(self):
        return _filled(_lib.chan_info, self._fd, _Info())

    async def _parked(self, op, buf):
        """Send or receive by an armed select; leaving the block early takes it back."""
        case = _Case(fd=self._fd, op=op,
                     msg=_Msg(buf=ctypes.addressof(buf), len=ctypes.sizeof(buf)))
        with _Descriptor(_check(_lib.chan_arm(ctypes.byref(case), 1, 0))) as armed:
            r = -errno.EAGAIN
            while r == -errno.EAGAIN:
                await _readable(armed)
                r = _lib.chan_fired(armed.fileno(), ctypes.byref(case), 1)
        _check(r)
        return case.msg.res


class Receiver(_End):
    def __init__(self, fd):
        self._room = _filled(_lib.chan_info, fd, _Info()).msg_max
        super().__init__(fd)

    def _message(self, buf, n):
        if n == -errno.EPIPE:
            raise EOFError
        return ctypes.string_at(buf, _check(n))

    def recv(self, under=None, timeout=None):
        buf = ctypes.create_string_buffer(self._room)
        return self._message(buf, _waiting(_lib.chan_recv, self._fd, buf, self._room,
                                           _fd(under), _deadline(timeout)))

    async def arecv(self):
        try:
            return self.recv(timeout=0)
        except BlockingIOError:
            buf = ctypes.create_string_buffer(self._room)
        return self._message(buf, await self._parked(_RECV, buf))


class Sender(_End):
    def send(self, msg, under=None, timeout=None):
        """True: a message was dropped."""
        msg = _bytes(msg)
        return _check(_waiting(_lib.chan_send, self._fd, msg, len(msg),
                               _fd(under), _deadline(timeout))) == 1

    async def asend(self, msg):
        msg = _bytes(msg)
        try:
            return self.send(msg, timeout=0)
        except BlockingIOError:
            buf = ctypes.create_string_buffer(msg, len(msg))
        return _check(await self._parked(_SEND, buf)) == 1


class Watch(_Descriptor):
    """To obey a group by: waits for it, runs under it, is a parent, reads values and info."""

    def wait(self, under=None, timeout=None):
        """Until no member is left: the first failed member's error, or 0."""
        first = ctypes.c_int()
        _check(_waiting(_lib.chan_wait, self._fd, ctypes.byref(first),
                        _fd(under), _deadline(timeout)))
        return first.value

    def info(self):
        return _filled(_lib.chan_group_info, self._fd, _GroupInfo())

    def get(self, key, default=None):
        """The value of the group, or of the nearest above that has one; else the default."""
        buf = ctypes.create_string_buffer(_VALUE_MAX)
        n = _lib.chan_value_get(self._fd, _text(key), buf, len(buf))
        return default if n == -errno.ENODATA else ctypes.string_at(buf, _check(n))

    def _another(self):
        return Watch(os.dup(self._fd))

    async def ended(self):
        """Wait until it has ended: its info, with err, why and by_pid."""
        with self._another() as own:
            await _readable(own)
            return own.info()


class Group(Watch):
    """An owner: what a watch can do, and to command."""

    def __init__(self, parent=None, timeout=None, flags=0, limit=0, fd=None):
        if fd is None:
            fd = _check(_lib.chan_group(_fd(parent), _deadline(timeout), flags, limit))
        super().__init__(fd)

    def watch(self):
        return Watch(_check(_lib.chan_watch(self._fd)))

    _another = watch        # not a copy: the group ends when the last owner closes

    def join(self, under=None, timeout=None):
        return Group(fd=_check(_waiting(_lib.chan_join, self._fd,
                                        _fd(under), _deadline(timeout))))

    def leave(self, err=0, why=""):
        _check(_lib.chan_leave(self._fd, err, _text(why)))

    def cancel(self, err=errno.ECANCELED, why=""):
        _check(_lib.chan_cancel(self._fd, err, _text(why)))

    def set(self, key, value):
        """Once for each key, for the group and all below it."""
        value = _bytes(value)
        _check(_lib.chan_value_set(self._fd, _text(key), value, len(value)))


def make(msg_max, capacity=0, flags=0):
    """A channel: its receiving and its sending end."""
    end = (ctypes.c_int * 2)()
    _check(_lib.chan_make(end, msg_max, capacity, flags))
    return Receiver(end[0]), Sender(end[1])
