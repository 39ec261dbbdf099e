"""An offline W&B run as one object."""

import json
from pathlib import Path
from typing import NamedTuple

from vae.history import read_history, read_records


class OfflineRun(NamedTuple):
    """What the file holds: the run's id, its configuration, and every row of its history."""

    id: str
    config: dict
    history: list[dict]
    exit_code: int | None


def read(path: Path) -> OfflineRun:
    run_id, config, exit_code = "", {}, None
    for record in read_records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run_id = record.run.run_id
            for item in record.run.config.update:
                config[item.key] = json.loads(item.value_json)
        elif kind == "exit":
            exit_code = record.exit.exit_code
    return OfflineRun(run_id, config, list(read_history(path)), exit_code)
