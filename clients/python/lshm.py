# SPDX-License-Identifier: Apache-2.0
"""lshm in Python, over the C library by ctypes: publish and subscribe without copying.

    with lshm.Context() as context, context.subscriber("hello") as subscriber:
        for sample in subscriber:
            with sample:
                print(bytes(sample.data))

A sample's data is a read-only memoryview of shared memory; a loan's is writable. The slot goes home
when the sample is released, or with the last reference to the sample and its views. Releasing a
sample while something else still refers to its memory (a slice, an array) is a BufferError, and so
is closing its subscriber or context: the memory would change, or go, under the view.

Threads: different ports may be used from different threads, one port from one thread at a time; a
sample may be released from any. Calls let other threads run while they wait. In a forked child
every call fails with ECHILD, and touching a sample's data ends the child.
"""
import ctypes
import os
import weakref

SOVERSION = 0
WAIT_STEP_NS = 200_000_000  # between two chances for a signal handler in Python to run
EAGAIN, ETOOBIG, ESTALE, ENAME, ECLOSED = 4097, 4099, 4102, 4104, 4112  # lshm/error.h
MESSAGE_TIME = 4
PUBLISHER_TIMESTAMPS, PUBLISHER_NEVER_WAITS, PUBLISHER_DROP_NEWEST = 1, 2, 4
PUBLISHER_PREFAULT, PUBLISHER_LOCK, PUBLISHER_HUGE = 8, 16, 32
SUBSCRIBER_NO_LOCAL, SUBSCRIBER_NEVER_WAITS, SUBSCRIBER_LATEST = 1, 2, 4
SUBSCRIBER_BY_TIME, SUBSCRIBER_PREFAULT = 8, 16

_u32, _u64, _i64, _pointer = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int64, ctypes.c_void_p


class _Message(ctypes.Structure):
    _fields_ = [("data", _pointer), ("length", _u64), ("seq", _u64), ("publisher", _u64),
                ("time_ns", _u64), ("user", _u64 * 2), ("flags", _u32), ("schema", _u32),
                ("token", _u64)]


class _Error(ctypes.Structure):
    _fields_ = [("number", ctypes.c_int), ("text", ctypes.c_char * 508)]


class _ContextOptions(ctypes.Structure):
    _fields_ = [("size", _u64), ("socket", ctypes.c_char_p), ("name", ctypes.c_char_p),
                ("timeout_ns", _i64), ("flags", _u32), ("reserved", _u32)]


class _PublisherOptions(ctypes.Structure):
    _fields_ = [("size", _u64), ("payload_bytes", _u64), ("slot_count", _u32),
                ("ring_entries", _u32), ("entry_bytes", _u32), ("loans_max", _u32),
                ("wait_ns", _i64), ("spin_ns", _u64), ("flags", _u32), ("history", _u32),
                ("stall_ns", _i64), ("memory_max", _u64), ("numa_node", _u32), ("retain", _u32)]


class _SubscriberOptions(ctypes.Structure):
    _fields_ = [("size", _u64), ("window", _u32), ("holds", _u32), ("spin_ns", _u64),
                ("flags", _u32), ("queue_limit", _u32), ("history", _u32),
                ("reserved", _u32)]


class _PublisherStatistics(ctypes.Structure):
    _fields_ = [(name, _u64) for name in (
        "size", "publisher", "published", "bytes", "refused", "readers", "unmapped", "slots",
        "slots_free", "slots_loaned", "slots_window", "slots_limbo", "slots_quarantine",
        "joined", "dropped", "evicted")]


class _SubscriberStatistics(ctypes.Structure):
    _fields_ = [(name, _u64) for name in (
        "size", "publishers", "taken", "lost", "corrupt", "ahead", "out", "holds",
        "oldest_publisher", "oldest_seq", "lost_start", "lost_lapped", "lost_limit",
        "lost_evicted")]


def _load():
    library = ctypes.CDLL(os.environ.get("LSHM_LIBRARY", f"liblshm.so.{SOVERSION}"))
    message, error = ctypes.POINTER(_Message), ctypes.POINTER(_Error)
    for name, result, *arguments in (
            ("strerror", ctypes.c_char_p, ctypes.c_int),
            ("error_name", ctypes.c_char_p, ctypes.c_int),
            ("version", ctypes.c_char_p),
            ("context_open", ctypes.c_int, ctypes.POINTER(_ContextOptions), error, _pointer),
            ("context_close", None, _pointer),
            ("context_get_fd", ctypes.c_int, _pointer),
            ("context_get_client", _u64, _pointer),
            ("publisher_open", ctypes.c_int, _pointer, ctypes.c_char_p,
             ctypes.POINTER(_PublisherOptions), error, _pointer),
            ("publisher_close", None, _pointer),
            ("publisher_loan", ctypes.c_int, _pointer, ctypes.c_size_t, message),
            ("publisher_publish", ctypes.c_int, _pointer, message),
            ("publisher_abort", ctypes.c_int, _pointer, message),
            ("publisher_send", ctypes.c_int, _pointer, _pointer, ctypes.c_size_t),
            ("publisher_get_statistics", ctypes.c_int, _pointer,
             ctypes.POINTER(_PublisherStatistics)),
            ("subscriber_open", ctypes.c_int, _pointer, ctypes.c_char_p,
             ctypes.POINTER(_SubscriberOptions), error, _pointer),
            ("subscriber_close", None, _pointer),
            ("subscriber_take", ctypes.c_int, _pointer, message),
            ("subscriber_release", ctypes.c_int, _pointer, message),
            ("subscriber_wait", ctypes.c_int, _pointer, _i64),
            ("subscriber_get_statistics", ctypes.c_int, _pointer,
             ctypes.POINTER(_SubscriberStatistics))):
        function = getattr(library, "lshm_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_lib = _load()
version = _lib.lshm_version().decode()


class Error(Exception):
    """A call failed: `name` (such as "LSHM_EHELD" or "ENOMEM"), `number` (positive) and why."""

    def __init__(self, number, text=""):
        self.number = abs(number)
        self.name = _lib.lshm_error_name(self.number).decode()
        super().__init__(f"{self.name}: {text or _lib.lshm_strerror(self.number).decode()}")


def _check(result):
    if result < 0:
        raise Error(result)
    return result


def _options(kind, values):
    options = kind(size=ctypes.sizeof(kind))
    known = {name for name, _ in kind._fields_} - {"size", "reserved"}
    for name, value in values.items():
        if name not in known:
            raise TypeError(f"no option {name!r}; there are {', '.join(sorted(known))}")
        setattr(options, name, value)
    return options


def _nanoseconds(seconds):
    return -1 if seconds is None else max(0, round(seconds * 1e9))


class _View:
    """Some bytes that are ours until their port takes them back, and our memoryview of them."""

    def __init__(self, port, message, writable):
        self._port, self._message, self._writable = port, message, writable
        # One byte at least: a view of none could not be cast.
        array = (ctypes.c_ubyte * max(message.length, 1)).from_address(message.data or 0)
        self._array = weakref.ref(array)
        self._show(array)
        port._views.add(self)
        port._out += 1

    def _show(self, array):
        view = memoryview(array).cast("B")[:self._message.length]
        self.data = view if self._writable else view.toreadonly()
        self._finalizer = weakref.finalize(array, self._port._dropped, self._message)
        self._finalizer.atexit = False  # closing the context gives everything back

    def _end(self):
        """Let go of the bytes: BufferError, and nothing changes, while others refer to them."""
        array = self._array()
        if self._finalizer.detach() is None:
            raise Error(ESTALE)
        try:
            self.data.release()
        except BufferError:
            self._finalizer = weakref.finalize(array, self._port._dropped, self._message)
            self._finalizer.atexit = False
            raise
        del array
        array = self._array()
        if array is not None:
            self._show(array)
            raise BufferError("something else still refers to the data of this message")
        self._port._views.discard(self)
        self._port._out -= 1

    @property
    def is_open(self):
        """Whether `data` may be used."""
        return self._finalizer.alive


class Sample(_View):
    """A message taken: `data`, and what struct lshm_message carries. `with` releases it."""

    def __init__(self, port, message):
        self.seq, self.publisher = message.seq, message.publisher
        self.user, self.schema = tuple(message.user), message.schema
        self.flags = message.flags >> 16
        self.time_ns = message.time_ns if message.flags & MESSAGE_TIME else None
        super().__init__(port, message, False)

    def release(self):
        """Done with it. A second time is an Error, LSHM_ESTALE."""
        self._end()
        _check(_lib.lshm_subscriber_release(self._port._handle, self._message))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.is_open:
            self.release()


class Loan(_View):
    """Memory for a message: fill `data`, set `user`, `schema`, `flags`, then publish() or abort().

    As a context manager it publishes at the end of the block, or aborts if that raised.
    """

    def __init__(self, port, message):
        self.user, self.schema, self.flags = (0, 0), 0, 0
        super().__init__(port, message, True)

    def publish(self, length=None):
        """Hand it over, or its first `length` bytes. Returns its seq."""
        message = self._message
        if not self.is_open:
            raise Error(ESTALE)
        if length is not None and not 0 <= length <= message.length:
            raise Error(ETOOBIG)
        self._end()
        if length is not None:
            message.length = length
        message.user[:] = self.user
        message.schema, message.flags = self.schema, self.flags << 16
        _check(_lib.lshm_publisher_publish(self._port._handle, message))
        return message.seq

    def abort(self):
        """Give it back unpublished. Nothing, once it was published or aborted."""
        if self.is_open:
            self._end()
            _check(_lib.lshm_publisher_abort(self._port._handle, self._message))

    def __enter__(self):
        return self

    def __exit__(self, kind, *exception):
        if kind is not None:
            self.abort()
        elif self.is_open:
            self.publish()


class _Port:
    def __init__(self, context, topic, kind, options):
        if not isinstance(topic, str):
            raise TypeError(f"the topic is of type {type(topic).__name__}, not str")
        if "\0" in topic:  # C would stop there
            raise Error(ENAME, f"{topic!r} is not a topic name: there is a NUL in it")
        handle, error = _pointer(), _Error()
        opened = getattr(_lib, f"lshm_{kind}_open")(
            context._opened(), topic.encode(errors="surrogatepass"), options, error,
            ctypes.byref(handle))
        if opened < 0:
            raise Error(opened, error.text.decode(errors="replace"))
        self.topic = topic
        self._context, self._kind, self._handle = context, kind, handle
        self._views, self._out = weakref.WeakSet(), 0
        context._ports.append(self)

    def close(self):
        """Give everything back. BufferError while a view of its memory is in use elsewhere."""
        if self._handle is None:
            return
        for view in [view for view in self._views if view.is_open]:
            view.abort() if isinstance(view, Loan) else view.release()
        if self._out > 0:
            raise BufferError(f"the data of {self._out} messages of {self.topic} is in use")
        getattr(_lib, f"lshm_{self._kind}_close")(self._handle)
        self._handle = None
        self._context._ports.remove(self)

    def _opened(self):
        if self._handle is None:
            raise Error(ECLOSED)
        return self._handle

    def _statistics(self, kind, function):
        statistics = kind(size=ctypes.sizeof(kind))
        _check(function(self._opened(), statistics))
        return {name: getattr(statistics, name) for name, _ in kind._fields_[1:]}

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


class Publisher(_Port):
    def __init__(self, context, topic, options):
        self._unused = []  # loans that were dropped, perhaps by another thread
        super().__init__(context, topic, "publisher", _options(_PublisherOptions, options))

    def loan(self, length):
        """A Loan of `length` bytes, or None when readers leave no room within wait_ns."""
        message = _Message()
        self._give_back_unused()
        result = _lib.lshm_publisher_loan(self._opened(), length, message)
        return None if result == -EAGAIN else (_check(result), Loan(self, message))[1]

    def send(self, data, user=(0, 0)):
        """Publish a copy of `data`: False when readers leave no room within wait_ns."""
        data = memoryview(data).cast("B") if len(data) else b""
        loan = self.loan(len(data))
        if loan is not None:
            loan.data[:] = data
            loan.user = user
            loan.publish()
        return loan is not None

    def statistics(self):
        return self._statistics(_PublisherStatistics, _lib.lshm_publisher_get_statistics)

    def close(self):
        super().close()
        self._unused.clear()  # closing gave them back

    def _dropped(self, message):
        self._out -= 1
        self._unused.append(message)

    def _give_back_unused(self):
        while self._unused:
            _lib.lshm_publisher_abort(self._opened(), self._unused.pop())


class Subscriber(_Port):
    """Iterating over it yields samples, and waits for them, until the context is closed."""

    def __init__(self, context, topic, options):
        super().__init__(context, topic, "subscriber", _options(_SubscriberOptions, options))

    def take(self):
        """The next Sample, or None when there is none now."""
        message = _Message()
        taken = _check(_lib.lshm_subscriber_take(self._opened(), message))
        return Sample(self, message) if taken else None

    def wait(self, timeout=None):
        """Whether there is something to take, after at most `timeout` seconds (None: for ever)."""
        left = _nanoseconds(timeout)
        while left < 0 or left > WAIT_STEP_NS:
            if _check(_lib.lshm_subscriber_wait(self._opened(), WAIT_STEP_NS)):
                return True
            left -= WAIT_STEP_NS if left > 0 else 0
        return _check(_lib.lshm_subscriber_wait(self._opened(), left)) == 1

    def __iter__(self):
        while self._handle is not None:
            sample = self.take()
            if sample is not None:
                yield sample
                del sample  # its slot goes home before the next one is waited for
            else:
                self.wait()

    def statistics(self):
        return self._statistics(_SubscriberStatistics, _lib.lshm_subscriber_get_statistics)

    def _dropped(self, message):
        self._out -= 1
        if self._handle is not None:
            _lib.lshm_subscriber_release(self._handle, message)


class Context:
    """This process's attachment to the broker; options: socket, name, timeout_ns, flags."""

    def __init__(self, **options):
        handle, error = _pointer(), _Error()
        for name in ("socket", "name"):
            if options.get(name) is not None:
                options[name] = os.fsencode(options[name])
                if b"\0" in options[name]:
                    raise ValueError(f"there is a NUL in {name}")
        opened = _lib.lshm_context_open(_options(_ContextOptions, options), error,
                                        ctypes.byref(handle))
        if opened < 0:
            raise Error(opened, error.text.decode(errors="replace"))
        self._handle, self._ports = handle, []

    def _opened(self):
        if self._handle is None:
            raise Error(ECLOSED)
        return self._handle

    def publisher(self, topic, **options):
        """A Publisher; options as in struct lshm_publisher_options, flags of PUBLISHER_…."""
        return Publisher(self, topic, options)

    def subscriber(self, topic, **options):
        """A Subscriber; options as in struct lshm_subscriber_options, flags of SUBSCRIBER_…."""
        return Subscriber(self, topic, options)

    @property
    def client(self):
        return _lib.lshm_context_get_client(self._opened())

    def fileno(self):
        """Readable when a port may have something: take until None, then poll."""
        return _check(_lib.lshm_context_get_fd(self._opened()))

    def close(self):
        """Close its ports, then itself. BufferError while a view of its memory is in use."""
        for port in list(self._ports):
            port.close()
        if self._handle is not None:
            _lib.lshm_context_close(self._handle)
            self._handle = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
