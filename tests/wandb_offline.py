"""Reads back an offline W&B run. wandb offers no reader; its file is a LevelDB log of protobufs:
7 bytes of header, then blocks of 32 KiB of records (CRC 4, length 2, type 1, payload)."""

import json
import struct
from pathlib import Path
from typing import NamedTuple

from wandb.proto import wandb_internal_pb2

BLOCK, HEADER = 32768, 7


class OfflineRun(NamedTuple):
    """What the file holds: the run's id, its configuration, and every row of its history."""

    id: str
    config: dict
    history: list[dict]
    exit_code: int | None


def read(path: Path) -> OfflineRun:
    run_id, config, history, exit_code = "", {}, [], None
    for payload in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(payload)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run_id = record.run.run_id
            for item in record.run.config.update:
                config[item.key] = json.loads(item.value_json)
        elif kind == "history":
            history.append(
                {
                    i.key or ".".join(i.nested_key): json.loads(i.value_json)
                    for i in record.history.item
                }
            )
        elif kind == "exit":
            exit_code = record.exit.exit_code
    return OfflineRun(run_id, config, history, exit_code)


def _records(data: bytes):
    assert data[:4] == b":W&B"
    position, parts = HEADER, []
    while position + HEADER <= len(data):
        left = BLOCK - position % BLOCK
        if left < HEADER:  # the rest of a block too short for a record's header is padding
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + HEADER])
        parts.append(data[position + HEADER : position + HEADER + length])
        position += HEADER + length
        if kind in (1, 4):  # full, or last of several
            yield b"".join(parts)
            parts = []
