"""One writer a folder: a lock that says who holds it, and that no death of its holder leaves behind."""

import errno
import fcntl
import json
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ['LOCK_FILE', 'folder_lock']

LOCK_FILE = '.mmvlforge.lock'
# A file system without locks, or NFS without a lock service.
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
_held: set[int] = set()


def _let_go() -> None:
    """In a forked process: a lock lives as long as any copy of its file, and a loader's worker can outlive a kill."""
    for file in _held:
        os.close(file)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


@contextmanager
def folder_lock(folder: str | Path, holder: str, file: str | None = None) -> Iterator[None]:
    """Hold a folder, which is made if need be, against all others that ask for its lock, on every machine.

    The system holds the lock (``flock``), not the file: it is gone with the process, however that ends. Where the file
    system has no locks a warning says so.

    Args:
        folder: The folder.
        holder: Who asks, such as ``'mmvlforge train'``; others read it while they are refused.
        file: Hold only this file of it, which another may hold beside the folder.

    Raises:
        ValueError: Another process holds it; the message says which.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):  # nobody can harm what is in it, and who tries has an error of its own
        yield
        return
    path = folder / (LOCK_FILE if file is None else f'.{file}.lock')
    lock = _take(path, folder if file is None else folder / file)
    _held.add(lock)
    try:
        since = time.strftime('%Y-%m-%d %H:%M:%S %z')
        who = dict(holder=holder, pid=os.getpid(), host=socket.gethostname(), since=since)
        os.truncate(lock, 0)
        os.write(lock, json.dumps(who).encode())
        yield
    finally:
        if lock in _held:
            _held.remove(lock)
            path.unlink(missing_ok=True)  # while it is held: after it the file may be another's
            os.close(lock)


def _take(path: Path, held: Path) -> int:
    """The open lock file of what is to be held, locked."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                warnings.warn(
                    f'{held} cannot be locked ({error.strerror}): see to it that nothing else writes there',
                    stacklevel=1,
                )
                return file
            told = _holder(file)
            os.close(file)
            if isinstance(error, (BlockingIOError, PermissionError)):
                kind = 'folder' if held.is_dir() else 'file'
                raise ValueError(f'{held} is in use: {told}. Wait for it to end, or choose another {kind}') from None
            raise
        try:
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except FileNotFoundError:
            pass
        os.close(file)  # its holder deleted it meanwhile: it keeps nobody out


def _holder(file: int) -> str:
    try:
        who = json.loads(os.pread(file, 4096, 0))
        return f'{who["holder"]}, process {who["pid"]} on {who["host"]}, since {who["since"]}'
    except (ValueError, KeyError, TypeError):  # it has not yet written who it is
        return 'another process has just begun to write'
