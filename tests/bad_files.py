"""Files that are wrong, each in one way: checkpoints, configurations, data; and the run that they
were made from."""

import gzip
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
TRAIN = "train.py fit --config experiments/configs/digits.yaml"


ENDLESS = {"current": {"processed": float("inf")}}


class Canary:
    """Unpickled, it would leave a file named canary in the current folder."""

    def __reduce__(self):
        return (open, ("canary", "w"))


def make_files(folder):
    """Makes them all, and a run of one epoch, named ``run``, in an empty folder."""
    from bad_input import run

    (folder / "experiments").symlink_to(ROOT / "experiments")
    (folder / "runs").mkdir()
    limits = "--trainer.max_epochs 1 --model.test_samples 2 --image_every 0"
    done = run(f"VAE_RUNS_DIR=trained {TRAIN} {limits}", folder, train=True)
    assert done.code == 0, done.err
    (path,) = (folder / "trained").iterdir()
    path.rename(folder / "run")
    (folder / "trained").rmdir()
    _checkpoints(folder)
    _configurations(folder)
    for name, content in DATA.items():
        _data(folder / "data" / name, content)
    (folder / "full.png").symlink_to("/dev/full")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "folder.json").mkdir()
    (folder / "studies" / "cut").mkdir(parents=True)
    (folder / "studies" / "cut" / "digits.json").write_text('{"config": ')
    (folder / "studies" / "listed").mkdir()
    (folder / "studies" / "listed" / "digits.json").write_text("[1, 2]")
    os.mkfifo(folder / "pipe")
    (folder / "piped" / "checkpoints").mkdir(parents=True)
    os.mkfifo(folder / "piped" / "checkpoints" / "best.ckpt")
    raw = folder / "data" / "pipe" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train", "t10k"):
        os.mkfifo(raw / f"{name}-images-idx3-ubyte")
    shutil.copytree(folder / "run", folder / "listed")
    (folder / "listed" / "run.json").write_text("[1]")
    (folder / "listed" / "results.json").unlink()
    whole = torch.load(folder / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    endless = {"fit_loop": whole["loops"]["fit_loop"] | {"epoch_progress": ENDLESS}}
    for name, changes in {
        "rows": {"vae": whole["vae"] | {"rows": "3"}},
        "validated": {"vae": whole["vae"] | {"validated": {"val/elbo": "x"}}},
        "random": {"vae": whole["vae"] | {"generators": {"cpu": torch.zeros(3)}}},
        "optimiser": {"optimizer_states": []},
        "steps": {"global_step": -3},
        "endless": {"loops": endless},
    }.items():
        (folder / name / "checkpoints").mkdir(parents=True)
        shutil.copy(folder / "run" / "config.yaml", folder / name)
        torch.save(whole | changes, folder / name / "checkpoints" / "last.ckpt")


def _checkpoints(folder):
    good = folder / "run" / "checkpoints" / "last.ckpt"
    contents = torch.load(good, weights_only=True)
    weights, own = contents["state_dict"], contents["vae"]

    def of(options, name="GaussianVAE"):
        """The checkpoint's own keys, with other options or another class of the module."""
        return {
            "vae": own
            | {"model": {"class_path": f"vae.{name}", "init_args": options}, "parts": None}
        }

    def on(name, options):
        """The same with other data."""
        return {"vae": own | {"data": {"class_path": f"vae.{name}", "init_args": options}}}

    options = own["model"]["init_args"]
    for name, changes in {
        "other-class": of(options, "NormalizingFlow"),
        "other-version": of(options | {"colour": "red"}),
        "other-layers": {"state_dict": {k: v for k, v in weights.items() if "decoder" not in k}},
        "other-shapes": {"state_dict": weights | {"vae.encoder.1.bias": torch.zeros(3)}},
        "other-data": on("SVHNDataModule", {}),
        "bad-data": on("DigitsDataModule", {"batch_size": 0}),
        "options-no-mapping": of(3),
        "no-loops": {"loops": {}},
        "model-only": {"optimizer_states": None, "loops": None},
        "code": {"hyper_parameters": {"latent_dim": Canary()}},
    }.items():
        torch.save(contents | changes, folder / f"{name}.ckpt")
    first = "vae.encoder.1.weight"
    for name, changes in {
        "wrapped": {"state_dict": {f"module.{k}": v for k, v in weights.items()}},
        "inflated": of(options | {"hidden": [10**9]}),
        "expanded": {"state_dict": weights | {first: torch.zeros(1, 64).expand(128, 64)}},
        "sampled": of(options | {"num_samples": 10**9}),
    }.items():
        torch.save(contents | changes, folder / f"{name}.ckpt")
    with zipfile.ZipFile(folder / "compressed.ckpt", "w", zipfile.ZIP_DEFLATED) as packed:
        with zipfile.ZipFile(good) as plain:
            for name in plain.namelist():
                packed.writestr(name, plain.read(name))
    torch.save({"state_dict": weights}, folder / "foreign.ckpt")
    (folder / "code-unpacked.ckpt").write_bytes(pickle.dumps(Canary(), protocol=2))
    whole = good.read_bytes()
    (folder / "empty.ckpt").write_bytes(b"")
    (folder / "truncated.ckpt").write_bytes(whole[: len(whole) // 2])
    (folder / "flipped.ckpt").write_bytes(flip(whole, 8 * (len(whole) // 2)))
    (folder / "text.ckpt").write_text("no checkpoint\n")
    (folder / "unreadable.ckpt").symlink_to("/proc/self/mem")  # an input/output error
    for name in ("damaged", "fresh"):
        shutil.copytree(folder / "run", folder / name)
        (folder / name / "results.json").unlink()
        for file in (folder / name / "checkpoints").iterdir():
            file.unlink() if name == "fresh" else os.truncate(file, 1000)


def flip(content, bit):
    """The bytes with one bit turned."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _configurations(folder):
    for name, text in {
        "no-yaml": "model: [",
        "empty": "",
        "unknown-key": "modell: {class_path: GaussianVAE}\n",
        "linked": "data: {class_path: DigitsDataModule, init_args: {seed: 4}}\n",
        "wrong-type": "model: {class_path: GaussianVAE, init_args: {lr: fast}}\n",
        "other-class": "model: {class_path: torch.nn.Linear}\n",
        "empty-name": "name: ''\nmodel: {class_path: GaussianVAE}\n",
        "twice": "model: {class_path: GaussianVAE}\n\nname: a\nname: b\n",
        "deep": "a: " + "[" * 1000 + "]" * 1000,
        "self": "a: &a [1, *a]\n",
        "bomb": "a0: &a0 x\n"
        + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(12)),
        "code": "name: !!python/object/apply:os.system ['touch canary']\n",
    }.items():
        (folder / f"{name}.yaml").write_text(text)


def idx(magic, *shape):
    """The header of an idx file."""
    return struct.pack(f">{1 + len(shape)}I", magic, *shape)


TRAINING = "train-images-idx3-ubyte"
DATA = {
    "empty": {TRAINING: b""},
    "wrong-magic": {TRAINING: idx(2049, 60000, 28, 28)},
    "something-else": {TRAINING: b"<!DOCTYPE html><title>404"},
    "wrong-shape": {TRAINING: idx(2051, 2, 3, 3) + bytes(18)},
    "cut": {TRAINING: idx(2051, 60000, 28, 28) + bytes(1000)},
    "wrong-checksum": {TRAINING: 16 + 60000 * 28 * 28},
    "no-gzip": {f"{TRAINING}.gz": b"no gzip"},
    "cut-gzip": {f"{TRAINING}.gz": gzip.compress(bytes(range(256)) * 40, mtime=0)[:200]},
    "no-training-images": {},
}


def _data(folder, files):
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "t10k-images-idx3-ubyte").write_bytes(idx(2051, 10000, 28, 28))
    for name, content in files.items():
        if isinstance(content, int):  # of this length, and black
            (raw / name).write_bytes(idx(2051, 60000, 28, 28))
            os.truncate(raw / name, content)
        else:
            (raw / name).write_bytes(content)
