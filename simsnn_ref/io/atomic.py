"""Files and folders that are written whole or not at all."""

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simsnn_ref.errors import OutputError

__all__ = ["check_absent", "check_writable", "write_whole"]


def check_writable(path: str | Path, what: str, force: bool = True) -> None:
    """Raise OutputError now if the file `path`, of which `what` is the name in messages, could not be written later.

    Without `force` that is also where there is such a file.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{what} {path}: is a folder; name a file")
    check_absent(path, what, force)
    if not path.parent.is_dir():
        raise OutputError(f"{what} {path}: folder {path.parent} does not exist; create it first")
    try:
        handle, probe = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        Path(probe).unlink()
    except OSError as error:
        raise OutputError(f"{what} {path}: folder {path.parent} cannot be written: {error.strerror}") from error


def check_absent(path: str | Path, what: str, force: bool) -> None:
    """Raise OutputError where `path` exists, unless `force` allows to replace it."""
    if not force and Path(path).exists():
        raise OutputError(f"{what} {path}: exists; name another one, or replace it with --force")


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Have `write` make a file or a folder of the same name beside `path`, and put it in place once it is complete.

    What was there stays until then, and if anything fails. A file that is in place survives a power cut.

    Raises
    ------
    OutputError
        If `write` fails in any way, or the file cannot be put in place.
    """
    try:
        with tempfile.TemporaryDirectory("", f".{path.name}.", path.parent, ignore_cleanup_errors=True) as folder:
            new = Path(folder) / path.name
            write(new)
            _sync(new)
            _put_in_place(new, path)
        _sync(path.parent)
    except Exception as error:
        # Each library of file formats has its own kinds of errors.
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise OutputError(f"{path}: cannot be written: {' '.join(reason.split())}") from error


def _put_in_place(new: Path, path: Path) -> None:
    if not path.is_dir():
        new.replace(path)
        return
    # No system renames over a folder that is not empty: the old one has to move first.
    old = path.rename(new.with_name(f"{path.name}.old"))
    try:
        new.replace(path)
    except OSError:
        old.rename(path)
        raise


def _sync(path: Path) -> None:
    """Have the bytes of a file, or the names in a folder, survive a power cut; not every system can sync a folder."""
    is_folder = path.is_dir()
    if is_folder and not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not is_folder or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
