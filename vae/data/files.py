"""Files of data sets: found, verified, and downloaded whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from vae.data.folder import data_dir

__all__ = ["assert_md5", "download", "fetch", "find", "is_file", "not_found"]


def is_file(path: Path, title: str) -> bool:
    """Whether there is a file.

    Raises:
        ValueError: If there is something else. To open a pipe, for one, would wait for ever.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no regular file: put {title}'s in its place")
    return path.exists()


def find(title: str, folders: Iterable[Path], names: Iterable[str]) -> Path | None:
    """The first file of one of these names in one of these folders; None if there is none."""
    names = list(names)
    paths = (folder / name for folder in folders for name in names)
    return next((path for path in paths if is_file(path, title)), None)


def not_found(title: str, folder: Path, layout: str) -> str:
    """What is said where a data set is missing.

    Arguments:
        title: Its name.
        folder: Where it was looked for.
        layout: What ``VAE_DATA_DIR`` must hold.
    """
    return f"{title} is not in {folder}; set VAE_DATA_DIR to a folder that holds {layout}"


def assert_md5(content: bytes, expected: str) -> None:
    """Refuses a file's content that is not the expected one.

    Raises:
        ValueError: If its MD5 checksum is another.
    """
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != expected:
        raise ValueError("wrong checksum: damaged or foreign")


def download(
    title: str, megabytes: float | None, missing: str, fill: Callable[[Path], object]
) -> None:
    """Downloads files to the folder of data sets: all of them, or, where that fails, none.

    A line says so before.

    Arguments:
        title: The data set's name.
        megabytes: What there is to download, of 10^6 bytes; None if that is not known.
        missing: What is said where it fails.
        fill: Downloads into an empty folder, with the paths that the files are to have.

    Raises:
        FileNotFoundError: If it fails.
    """
    root = data_dir()
    if root.exists() and not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder: {missing}")
    before = root.stat() if root.exists() else None
    size = "" if megabytes is None else f" ({megabytes:,.0f} MB)"
    new = "" if before else ", a folder that does not exist yet"
    print(f"{title} is not there: downloading it{size} to {root}{new}", flush=True)
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # torchvision's download would wait for ever
    try:
        root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".download-", dir=root) as folder:
            fill(Path(folder))
            for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
                target = root / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
    except (OSError, RuntimeError) as error:
        if before is not None:
            with suppress(OSError):  # as it was, to the time of its change
                os.utime(root, ns=(before.st_atime_ns, before.st_mtime_ns))
        raise FileNotFoundError(f"{missing} (the download failed: {_reason(error)})") from None
    finally:
        socket.setdefaulttimeout(timeout)
        if before is None and root.is_dir() and not any(root.iterdir()):
            root.rmdir()


def _reason(error: Exception) -> str:
    """Why a download failed: in most cases, there is no network."""
    text = (str(error).strip() or type(error).__name__).splitlines()[-1]
    if found := re.fullmatch(r"<urlopen error (?:\[Errno -?\d+\] )?(.*)>", text):
        return f"no network, or no answer: {found[1]}"
    return text


def fetch(
    title: str, megabytes: float | None, missing: str, folder: str, addresses: Iterable[str]
) -> None:
    """Downloads single files into a folder of data sets, as :func:`download` does.

    Arguments:
        title: The data set's name.
        megabytes: What there is to download.
        missing: What is said where it fails.
        folder: Their folder, from that of data sets on.
        addresses: Their URLs.
    """

    def fill(root: Path) -> None:
        from torchvision.datasets.utils import download_url  # takes a second to import

        for address in addresses:
            download_url(address, str(root / folder))

    download(title, megabytes, missing, fill)
