"""A small classifier of images, trained in seconds, whose features tell images apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vae.evaluation.terms import fixed_noise

__all__ = ["SmallClassifier", "trained_classifier"]


class SmallClassifier(nn.Module):
    """Two convolutions of stride 2, a layer of features, and one of classes.

    Arguments:
        image_shape: Channels, height, width.
        classes: How many.
        num_features: The width of the features.
    """

    def __init__(self, image_shape: tuple[int, ...], classes: int, num_features: int = 64) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.num_features = num_features
        flat = 32 * -(-height // 4) * -(-width // 4)
        self.body = nn.Sequential(
            nn.Conv2d(channels, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(flat, num_features),
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(num_features, classes))

    def features(self, x: Tensor) -> Tensor:
        """Images ``(B, C, H, W)`` to features ``(B, num_features)``, before their nonlinearity."""
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(B, classes)``."""
        return self.head(self.features(x))


def trained_classifier(
    images: Tensor, labels: Tensor, seed: int, epochs: int = 3, batch_size: int = 100
) -> SmallClassifier:
    """A classifier trained by Adam on the cross-entropy; a function of its arguments.

    Arguments:
        images: ``(N, C, H, W)``, on the device to train on.
        labels: Their classes ``(N,)``, from 0 on.
        seed: Of weights and order.
        epochs: How often it sees every image.
        batch_size: Images a step.
    """
    from threadpoolctl import threadpool_limits

    shape = tuple(images.shape[1:])
    labels = labels.to(images.device)
    # so small a network gains nothing by a second thread, and on a busy machine waits for it
    with torch.enable_grad(), fixed_noise(images.device, seed), threadpool_limits(1):
        model = SmallClassifier(shape, int(labels.max()) + 1).to(images.device)
        steps = epochs * -(-len(images) // batch_size)
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps + 1)
        for _ in range(epochs):
            for index in torch.randperm(len(images), device=images.device).split(batch_size):
                loss = cross_entropy(model(images[index]), labels[index])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                rate.step()
    return model.eval().requires_grad_(False)
