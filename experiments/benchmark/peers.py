"""The training loops of tutorials, as their users have them, for ``bench.py`` to compare with."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.datasets.vision import VisionDataset
from torchvision.transforms import ToTensor

from benchmark.command_line import OnStep, silence


class TutorialVAE(nn.Module):
    """The VAE of the tutorials: 784-400-20-400-784, five linear layers, a sigmoid at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.mean, self.log_variance = (
            nn.Linear(784, 400),
            nn.Linear(400, 20),
            nn.Linear(400, 20),
        )
        self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))

    def loss(self, x: Tensor) -> Tensor:
        """The negative ELBO of images ``(B, 1, 28, 28)``, in nats, summed over them."""
        x = x.view(-1, 784)
        h = F.relu(self.hidden(x))
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        recon = torch.sigmoid(self.decoder(z))
        kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        return F.binary_cross_entropy(recon, x, reduction="sum") + kl


class _Images(MNIST):
    """torchvision's MNIST, item by item through PIL, on images that are in memory already."""

    def __init__(self, images: Tensor) -> None:
        VisionDataset.__init__(self, "", transform=ToTensor())
        self.data, self.targets = images.cpu()[:, 0], torch.zeros(len(images), dtype=torch.long)


class Tutorial:
    """The loop of pytorch/examples' VAE.

    It has a DataLoader over PIL images and Adam with its defaults; it reads the loss as a Python
    number at every step, and prints a line at every tenth."""

    def __init__(self, images: Tensor, batch_size: int = 128) -> None:
        self.device = images.device
        self.model = TutorialVAE().to(self.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        cuda: dict[str, Any] = {"num_workers": 1, "pin_memory": True}
        options = cuda if self.device.type == "cuda" else {}
        self.loader: DataLoader[Any] = DataLoader(
            _Images(images), batch_size=batch_size, shuffle=True, **options
        )
        self.iterator = iter(self.loader)
        self.total, self.log = 0.0, io.StringIO()

    def run(self, steps: int) -> int:
        count = 0
        for step in range(steps):
            batch = next(self.iterator, None)
            if batch is None:
                self.iterator = iter(self.loader)
                batch = next(self.iterator)
            data = batch[0].to(self.device)
            self.optimizer.zero_grad()
            loss = self.model.loss(data)
            loss.backward()
            self.total += loss.item()
            self.optimizer.step()
            if step % 10 == 0:
                print(f"loss {loss.item() / len(data):.6f}", file=self.log)
            count += len(data)
        return count


class _PlainModule(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = TutorialVAE()

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = self.model.loss(batch[0]) / len(batch[0])
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class OnBatchEnd(Callback):
    """Calls ``on_step`` after each batch of ``images`` images."""

    def __init__(self, on_step: OnStep, images: Callable[[Any], int]) -> None:
        self.on_step, self.images = on_step, images

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, n: int
    ) -> None:
        self.on_step(trainer.global_step, self.images(batch))


def plain_lightning(images: Tensor, steps: int, on_step: OnStep) -> None:
    """A LightningModule as the tutorials write it, under the Trainer's defaults."""
    loader: DataLoader[Any] = DataLoader(_Images(images), batch_size=128, shuffle=True)
    clock = OnBatchEnd(on_step, lambda batch: len(batch[0]))
    with tempfile.TemporaryDirectory() as folder, silence():
        trainer = Trainer(
            max_steps=steps,
            default_root_dir=folder,
            callbacks=[clock],
            accelerator="cpu" if images.is_cpu else "gpu",
        )
        trainer.fit(_PlainModule(), loader)
