"""What is used of Lightning's internals does what it is used for, and stands in one file."""

import ast
from datetime import timedelta
from pathlib import Path

from lightning.pytorch.callbacks import ModelCheckpoint
from small import MODULES, fit

import vae
from vae.run.folder import new_run
from vae.run.last import LastCheckpoint
from vae.training.lightning_private import (
    count_step,
    regroup,
    saved_position,
    saves_by_steps,
    saves_by_time,
    set_epochs,
    set_logged_step,
)

ROOT = Path(vae.__file__).parent
ELSEWHERE = {
    "_asdict": "of every NamedTuple",
    "_replace": "of every NamedTuple",
    "_fields": "of every NamedTuple",
    "_exit": "of os",
    "_extended_shape": "of torch.distributions, for subclasses",
    "_standard_gamma": "how torch.distributions draws a Gamma variable",
    "_standard_gamma_grad": "its derivative",
    "_unbroadcasted_scale_tril": "of torch's MultivariateNormal",
    "_validate_args": "of torch.distributions, for subclasses",
    "_validate_sample": "the same",
    "_get_checked_instance": "the same",
}
"""Names that begin with ``_``, belong to others, and may be used in any file."""


def test_a_trainer_counts_what_it_is_told():
    trainer = fit(MODULES["gaussian"](), new_run("t"), steps=3)
    assert trainer.global_step == 3
    count_step(trainer)
    assert trainer.global_step == 4
    set_epochs(trainer, 7)
    assert trainer.current_epoch == 7
    set_logged_step(trainer, 11)
    assert trainer.fit_loop.epoch_loop.on_save_checkpoint()["_batches_that_stepped"] == 11


def test_a_checkpoint_callback_says_when_it_saves():
    kinds = [ModelCheckpoint(), ModelCheckpoint(every_n_train_steps=5)]
    kinds.append(ModelCheckpoint(train_time_interval=timedelta(hours=1)))
    assert [saves_by_steps(kind) for kind in kinds] == [False, True, False]
    assert [saves_by_time(kind) for kind in kinds] == [False, False, True]


def test_a_saved_loop_has_the_entries_that_are_settled(tmp_path):
    last = LastCheckpoint(tmp_path)
    options = {"callbacks": [last], "enable_checkpointing": True, "steps_per_batch": 20}
    trainer = fit(MODULES["gaussian"](), new_run("t"), steps=30, **options)
    checkpoint = trainer._checkpoint_connector.dump_checkpoint()
    loop = checkpoint["loops"]["fit_loop"]
    assert loop["epoch_progress"]["current"] == {
        **{"ready": 2, "started": 2},
        **{"processed": 1, "completed": 1},
    }
    assert loop["state_dict"]["combined_loader"][0]["batch"] == 9
    assert saved_position(checkpoint)[:3] == (1, 30, 9)
    assert saved_position(checkpoint).total == 21
    regroup(checkpoint, 3)
    groups = loop["epoch_loop.batch_progress"]
    assert set(groups["current"].values()) == {3} and set(groups["total"].values()) == {7 + 3}


def private_names(tree):
    """Names that begin with one ``_`` as attributes of something, and those that are defined."""
    used, defined = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            if isinstance(node.ctx, ast.Store):
                own = isinstance(node.value, ast.Name) and node.value.id in ("self", "ctx")
                (defined if own else used).add(node.attr)
            else:
                used.add(node.attr)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in used if not name.startswith("__")}, defined


def test_private_names_of_others_stand_in_one_file():
    found = {path: private_names(ast.parse(path.read_text())) for path in ROOT.rglob("*.py")}
    own = set().union(*(defined for _, defined in found.values()))
    foreign = {
        path.relative_to(ROOT): used - own - set(ELSEWHERE) for path, (used, _) in found.items()
    }
    foreign = {str(path): names for path, names in foreign.items() if names}
    assert foreign.pop("training/lightning_private.py") == {
        *("_batches_that_stepped", "_every_n_train_steps", "_train_time_interval", "_parser"),
    }
    assert foreign.pop("models/one_dnn.py") == {"_linear_pointwise"}  # torch's; test_one_dnn.py
    # argparse's and jsonargparse's, of their formatter, which can only be derived from: test_fit_help.py
    assert foreign.pop("cli/help.py") == {"_format_args", "_get_type_str", "_width"}
    assert foreign == {}


def test_the_layout_of_a_saved_loop_is_known_in_one_file():
    knows = [p.name for p in ROOT.rglob("*.py") if {"fit_loop", "combined_loader"} & strings(p)]
    assert knows == ["lightning_private.py"]


def strings(path):
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.value for node in nodes if isinstance(node, ast.Constant)}
