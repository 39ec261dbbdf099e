"""An offline W&B run as one object."""

import json
import time
from pathlib import Path
from typing import NamedTuple

from vae.run.wandb_file import read_history, read_records


class OfflineRun(NamedTuple):
    """What the file holds: the run's id, name, group and job type, its configuration, the metrics
    that were defined (by name or pattern), its summary, and every row of its history."""

    id: str
    name: str
    group: str
    job_type: str
    config: dict
    metrics: dict
    summary: dict
    history: list[dict]
    exit_code: int | None


def read(path: Path) -> OfflineRun:
    """What W&B wrote. Its own process may still be writing when ``finish`` has returned: the run's
    end is waited for, up to half a minute."""
    give_up = time.monotonic() + 30
    while (found := _read(path)).exit_code is None and time.monotonic() < give_up:
        time.sleep(0.1)
    return found


def _read(path: Path) -> OfflineRun:
    config, metrics, summary, exit_code = {}, {}, {}, None
    texts = {"id": "", "name": "", "group": "", "job_type": ""}
    for record in read_records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            texts = {"id": run.run_id, "name": run.display_name, "group": run.run_group}
            texts["job_type"] = run.job_type
            for item in run.config.update:
                config[item.key] = json.loads(item.value_json)
        elif kind == "config":
            for item in record.config.update:
                config[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
        elif kind == "metric":
            metrics[record.metric.name or record.metric.glob_name] = record.metric
        elif kind == "summary":
            for item in record.summary.update:
                summary[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
        elif kind == "exit":
            exit_code = record.exit.exit_code
    history = list(read_history(path))
    return OfflineRun(**texts, config=config, metrics=metrics, summary=summary, history=history,
                      exit_code=exit_code)  # fmt: skip
