"""Reads back the history of an offline W&B run, for which wandb has no public reader.

This is the only file that depends on what is private of W&B: its protobuf module and the format of
its files, a LevelDB log of protobufs: 7 bytes of header, then blocks of 32 KiB of records (CRC 4
bytes, length 2, type 1, payload). No content of a file makes these functions raise: they end where
it is damaged.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from wandb.proto import wandb_internal_pb2

__all__ = ["read_history", "read_records", "rows_sent"]


BLOCK, HEADER = 32768, 7


def rows_sent(run: Path) -> int:
    """The number of rows that a run's offline W&B files hold, 0 if there are none."""
    last = -1
    for path in sorted(run.glob("wandb/offline-run-*/*.wandb")):
        for row in read_history(path):
            number = row.get("row")
            last = max(last, number if isinstance(number, int) else -1)
    return last + 1


def read_history(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a ``.wandb`` file, up to where it was cut off or damaged."""
    for record in read_records(path):
        if record.WhichOneof("record_type") == "history":
            try:
                row = {
                    item.key or ".".join(item.nested_key): json.loads(item.value_json)
                    for item in record.history.item
                }
            except (ValueError, RecursionError):
                return
            yield row


def read_records(path: Path) -> Iterator[Any]:
    """The protobuf records of a ``.wandb`` file, up to where it was cut off or damaged."""
    for payload in _payloads(path.read_bytes()):
        record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
        try:
            record.ParseFromString(payload)
        except DecodeError:
            return
        yield record


def _payloads(data: bytes) -> Iterator[bytes]:
    if data[:4] != b":W&B":
        return
    position, parts = HEADER, []
    while position + HEADER <= len(data):
        left = BLOCK - position % BLOCK
        if left < HEADER:  # the rest of a block too short for a record's header is padding
            position += left
            continue
        checksum, length, kind = struct.unpack("<IHB", data[position : position + HEADER])
        payload = data[position + HEADER : position + HEADER + length]
        if len(payload) < length or kind not in (1, 2, 3, 4):
            return
        if zlib.crc32(payload, zlib.crc32(bytes([kind]))) != checksum:
            return
        parts.append(payload)
        position += HEADER + length
        if kind in (1, 4):  # full, or last of several
            yield b"".join(parts)
            parts = []
