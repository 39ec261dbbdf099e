"""Trains pythae's VAE by pythae's own trainer: ``pythae_fit.py CHECKOUT EPOCHS FOLDER``.

The same grey MNIST, batch size, latent size and step size as pytorch/examples' VAE; networks and
all else are pythae's defaults. It is run beside ``vae fit`` by ``bench.py --pythae CHECKOUT``.
"""

from __future__ import annotations

import sys
from pathlib import Path

checkout, epochs, folder = sys.argv[1:]
sys.path[:0] = [str(Path(checkout) / "src")]

import torch  # noqa: E402
from pythae.data.datasets import BaseDataset  # type: ignore[import-not-found] # noqa: E402
from pythae.models import VAE, VAEConfig  # type: ignore[import-not-found] # noqa: E402
from pythae.trainers import (  # type: ignore[import-not-found] # noqa: E402
    BaseTrainer,
    BaseTrainerConfig,
)
from torchvision.datasets import MNIST  # noqa: E402


def images(train: bool) -> BaseDataset:
    data = MNIST(folder, train=train).data[:, None] / 255
    return BaseDataset(data, torch.ones(len(data)))


BaseTrainer(
    model=VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=20, reconstruction_loss="bce")),
    train_dataset=images(train=True),
    eval_dataset=images(train=False),
    training_config=BaseTrainerConfig(
        output_dir=str(Path(folder) / "pythae"),
        num_epochs=int(epochs),
        per_device_train_batch_size=128,
        per_device_eval_batch_size=1000,
        learning_rate=1e-3,
    ),
).train()
