"""Reading in a process of its own, with limits of memory, processor time and time on the clock.

Files come from outside. Should one make a parser take more than it may, crash it or keep it busy, only the worker dies: the
caller gets a finding. The worker is started when it is first needed (about 0.3 s) and reads one file after another; it has no
database connection and no open file of its parent. What it found comes back as plain values (``marshal``), so nothing it says
can be executed; lines of long statements stay in a file the parent takes over.
"""

from __future__ import annotations

import atexit
import contextlib
import marshal
import os
import pickle
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bank_adapters.findings import Findings
from bank_adapters.model import StatementFileReading
from bank_adapters.profile import Profile
from bank_adapters.reading import read_statement_file
from bank_adapters.transfer import packed, unpacked

_LENGTH = struct.Struct(">Q")
_PROGRESS = 1 << 63  # a frame without content: its length is the number of bytes read so far
_REPORT_EVERY = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may take: bytes of memory above what the worker has at its start, seconds of processor and of clock."""

    memory_bytes: int = 1024 * 1024 * 1024
    cpu_seconds: int = 120
    clock_seconds: float = 240.0


DEFAULT_LIMITS = Limits()


class WorkerLost(Exception):
    """The worker ended or was ended; the message says why, for a finding."""

    def __init__(self, what: str, what_zh: str, limit: str) -> None:
        super().__init__(limit)
        self.what, self.what_zh, self.limit = what, what_zh, limit


class ReadingWorker:
    """A process that reads files for one set of profiles. Use from one thread at a time (``read`` locks)."""

    def __init__(self, profiles: Sequence[Profile], limits: Limits = DEFAULT_LIMITS) -> None:
        self.profiles = tuple(profiles)
        self.limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def read(
        self, data: bytes | Path, name: str, profile_id: str | None = None, progress: Callable[[int], None] | None = None
    ) -> StatementFileReading:
        """As ``read_statement_file``; a file that takes too much is refused with ``limit_reached``."""
        with self._lock, tempfile.TemporaryDirectory(prefix="escrow-reading-") as folder:
            try:
                path = Path(folder) / "file"
                if isinstance(data, bytes):
                    path.write_bytes(data)
                else:
                    path = data.resolve()
                answer = self._ask(marshal.dumps((str(path), name, profile_id, folder)), progress)
                return unpacked(marshal.loads(answer), Path(folder))  # noqa: S302 - plain values; see the module's text
            except WorkerLost as lost:
                self._end()
                return _refused("limit_reached", what=lost.what, what_zh=lost.what_zh, limit=lost.limit)
            except (OSError, ValueError, EOFError, TypeError, KeyError) as problem:
                self._end()
                return _refused("internal_error", reason=type(problem).__name__)

    def close(self) -> None:
        """End the process; the next ``read`` starts another."""
        with self._lock:
            self._end()

    def _ask(self, question: bytes, progress: Callable[[int], None] | None) -> bytes:
        process = self._running()
        if process.stdin is None or process.stdout is None:
            raise WorkerLost("processes", "进程", "could be started")
        try:
            _send(process.stdin, question)
        except BrokenPipeError as problem:
            raise self._lost(process) from problem
        deadline = time.monotonic() + self.limits.clock_seconds
        answer = bytearray()
        while True:
            while len(answer) >= _LENGTH.size:
                length = _LENGTH.unpack_from(answer)[0]
                if length & _PROGRESS:  # so many bytes were read; the answer is still to come
                    del answer[: _LENGTH.size]
                    if progress is not None:
                        progress(length & ~_PROGRESS)
                elif len(answer) >= _LENGTH.size + length:
                    return bytes(answer[_LENGTH.size :])
                else:
                    break
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise WorkerLost("time", "时间", f"{self.limits.clock_seconds:g} seconds")
            chunk = os.read(process.stdout.fileno(), 1 << 20)
            if not chunk:
                raise self._lost(process)
            answer += chunk

    def _lost(self, process: subprocess.Popen[bytes]) -> WorkerLost:
        """Why a worker that closed its pipe is gone."""
        try:
            code = process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = 0
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return WorkerLost("processor time", "处理器时间", f"{self.limits.cpu_seconds} seconds")
        return WorkerLost("memory", "内存", f"{self.limits.memory_bytes} bytes (the reader ended with code {code})")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bank_adapters.worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, start_new_session=True,
            )  # fmt: skip
            if self._process.stdin is not None:
                _send(self._process.stdin, pickle.dumps((self.profiles, self.limits)))  # from parent to child: our own words
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


_WORKERS: dict[tuple[Profile, ...], ReadingWorker] = {}
_WORKERS_LOCK = threading.Lock()
_MOST_WORKERS = 2


def read_isolated(
    data: bytes | Path,
    name: str,
    profiles: Sequence[Profile],
    profile_id: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> StatementFileReading:
    """As ``read_statement_file``, in a worker that stays for the next file and ends with this process."""
    key = tuple(profiles)
    with _WORKERS_LOCK:
        worker = _WORKERS.get(key)
        if worker is None:
            while len(_WORKERS) >= _MOST_WORKERS:
                _WORKERS.pop(next(iter(_WORKERS))).close()
            worker = _WORKERS[key] = ReadingWorker(key)
    return worker.read(data, name, profile_id, progress)


@atexit.register
def _close_workers() -> None:
    for worker in _WORKERS.values():
        worker.close()


def _refused(code: str, **facts: str) -> StatementFileReading:
    findings = Findings()
    findings.add(code, field="file", **facts)  # type: ignore[arg-type]  # facts are wordings
    return StatementFileReading("unknown", None, None, accepted=False, statements=(), findings=findings.finished())


def _send(stream: IO[bytes], message: bytes) -> None:
    stream.write(_LENGTH.pack(len(message)))
    stream.write(message)
    stream.flush()


def _received(stream: IO[bytes]) -> bytes | None:
    head = stream.read(_LENGTH.size)
    return stream.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else None


# -- in the worker -----------------------------------------------------------------------------------------------------


def serve() -> None:
    """Read files until the parent goes."""
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    begin = _received(source)
    if begin is None:
        return
    profiles, limits = pickle.loads(begin)  # noqa: S301 - from the parent
    _limit_memory(limits.memory_bytes)
    while (question := _received(source)) is not None:
        path, name, profile_id, folder = marshal.loads(question)  # noqa: S302 - from the parent
        used = resource.getrusage(resource.RUSAGE_SELF)
        spent = int(used.ru_utime + used.ru_stime) + 1
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (spent + limits.cpu_seconds, hard))
        reading = read_statement_file(Path(path), name, profiles, profile_id, _reporter(answers))
        _send(answers, marshal.dumps(packed(reading, Path(folder))))
        del reading


def _reporter(answers: IO[bytes]) -> Callable[[int], None]:
    """Tells the parent how many bytes were read, ten times a second."""
    last = time.monotonic()

    def report(count: int) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _REPORT_EVERY:
            last = now
            answers.write(_LENGTH.pack(_PROGRESS | count))
            answers.flush()

    return report


def _limit_memory(above: int) -> None:
    """Limit the address space to what is mapped now and ``above`` bytes more, where the system says what is mapped."""
    try:
        mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + above, hard))


if __name__ == "__main__":
    serve()
