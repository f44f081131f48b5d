# SPDX-License-Identifier: MIT
"""Channels and cancellation groups from Python, over libchan.

Every call takes `under` (a Group, or None) and `timeout` (seconds; None: no limit;
0: never wait) and raises OSError, or one of its subclasses, when libchan returns
an error. Receiving from a channel that was shut without an error raises
EOFError. The coroutines `asend`, `arecv` and Group.ended() wait in asyncio's loop
and block nothing.

    rx, tx = kchan.make(msg_max=64, capacity=16)
    tx.send(b"hello")
    rx.recv()               # b"hello"
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


_i64, _size = ctypes.c_int64, ctypes.c_size_t
for _name, _res, _args in (
        ("chan_after", _i64, [_i64]),
        ("chan_make", ctypes.c_int, [ctypes.c_void_p, _size, ctypes.c_uint, ctypes.c_uint]),
        ("chan_send", ctypes.c_int, [ctypes.c_int, ctypes.c_char_p, _size, ctypes.c_int, _i64]),
        ("chan_recv", ctypes.c_ssize_t,
         [ctypes.c_int, ctypes.c_void_p, _size, ctypes.c_int, _i64]),
        ("chan_shut", ctypes.c_int, [ctypes.c_int, ctypes.c_int]),
        ("chan_info", ctypes.c_int, [ctypes.c_int, ctypes.c_void_p, _size]),
        ("chan_group", ctypes.c_int, [ctypes.c_int, _i64, ctypes.c_uint, ctypes.c_uint]),
        ("chan_join", ctypes.c_int, [ctypes.c_int, ctypes.c_int, _i64]),
        ("chan_leave", ctypes.c_int, [ctypes.c_int, ctypes.c_int, ctypes.c_char_p]),
        ("chan_cancel", ctypes.c_int, [ctypes.c_int, ctypes.c_int, ctypes.c_char_p]),
        ("chan_wait", ctypes.c_int, [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, _i64]),
        ("chan_group_info", ctypes.c_int, [ctypes.c_int, ctypes.c_void_p, _size])):
    _fn = getattr(_lib, _name)
    _fn.restype, _fn.argtypes = _res, _args


def _check(r):
    if r >= 0:
        return r
    if r == -errno.ETIMEDOUT:
        raise TimeoutError(-r, os.strerror(-r))
    raise OSError(-r, os.strerror(-r))


def _deadline(timeout):
    if timeout is None:
        return FOREVER
    return _lib.chan_after(int(timeout * 1e9)) if timeout else NOW


def _fd(obj):
    return -1 if obj is None else obj.fileno()


class _Descriptor:
    """Owns a descriptor: close() it, or leave a `with` block."""

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


async def _until(add, remove, fd, attempt):
    """attempt() until it need not wait, in asyncio's loop."""
    while True:
        try:
            return attempt()
        except BlockingIOError:
            pass
        ready = asyncio.get_running_loop().create_future()
        add(fd, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            remove(fd)


class _End(_Descriptor):
    def shut(self, err=0):
        _check(_lib.chan_shut(self._fd, err))

    def info(self):
        i = _Info()
        _check(_lib.chan_info(self._fd, ctypes.byref(i), ctypes.sizeof(i)))
        return i


class Receiver(_End):
    def __init__(self, fd):
        super().__init__(fd)
        self._room = self.info().msg_max

    def recv(self, under=None, timeout=None):
        buf = ctypes.create_string_buffer(max(self._room, 1))
        n = _lib.chan_recv(self._fd, buf, self._room, _fd(under), _deadline(timeout))
        if n == -errno.EPIPE:
            raise EOFError
        return buf.raw[:_check(n)]

    async def arecv(self):
        loop = asyncio.get_running_loop()
        return await _until(loop.add_reader, loop.remove_reader, self._fd,
                            lambda: self.recv(timeout=0))


class Sender(_End):
    def send(self, msg, under=None, timeout=None):
        """True: a message was dropped."""
        return _check(_lib.chan_send(self._fd, msg, len(msg), _fd(under),
                                     _deadline(timeout))) == 1

    async def asend(self, msg):
        loop = asyncio.get_running_loop()
        return await _until(loop.add_writer, loop.remove_writer, self._fd,
                            lambda: self.send(msg, timeout=0))


class Group(_Descriptor):
    def __init__(self, parent=None, timeout=None, flags=0, limit=0, fd=None):
        if fd is None:
            fd = _check(_lib.chan_group(_fd(parent), _deadline(timeout), flags, limit))
        super().__init__(fd)

    def join(self, under=None, timeout=None):
        return Group(fd=_check(_lib.chan_join(self._fd, _fd(under), _deadline(timeout))))

    def leave(self, err=0, why=""):
        _check(_lib.chan_leave(self._fd, err, why.encode()))

    def cancel(self, err=errno.ECANCELED, why=""):
        _check(_lib.chan_cancel(self._fd, err, why.encode()))

    def wait(self, under=None, timeout=None):
        """The first failed member's error, or 0."""
        first = ctypes.c_int()
        _check(_lib.chan_wait(self._fd, ctypes.byref(first), _fd(under), _deadline(timeout)))
        return first.value

    def info(self):
        i = _GroupInfo()
        _check(_lib.chan_group_info(self._fd, ctypes.byref(i), ctypes.sizeof(i)))
        return i

    async def ended(self):
        """Wait until it has ended: its info, with err, why and by_pid."""
        def attempt():
            i = self.info()
            if not i.state:
                raise BlockingIOError
            return i
        loop = asyncio.get_running_loop()
        return await _until(loop.add_reader, loop.remove_reader, self._fd, attempt)


def make(msg_max, capacity=0, flags=0):
    """A channel: its receiving and its sending end."""
    end = (ctypes.c_int * 2)()
    _check(_lib.chan_make(end, msg_max, capacity, flags))
    return Receiver(end[0]), Sender(end[1])
