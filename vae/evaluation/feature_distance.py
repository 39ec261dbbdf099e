r"""How far a model's images are from real ones, in the features of a small classifier.

The Fréchet distance between two sets of images, each summed up as a Gaussian of its features,

.. math::
    \lVert \mu_1 - \mu_2 \rVert^2
        + \mathrm{tr}\left(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2}\right)

It is not FID, whose features are those of a network trained on ImageNet: here they are those of a
classifier trained on the data's own labels. So it compares models of the same data, with the same
seed and number of images, and nothing else.

References:
    | GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium (Heusel et
    | al., 2017), equation 6 (https://arxiv.org/abs/1706.08500).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from vae.data.labels import labelled_batches
from vae.data.loader import mix_seeds
from vae.evaluation.classifier import SmallClassifier, trained_classifier
from vae.evaluation.part import Number, Part, Subject, mean_of
from vae.evaluation.probe import no_classes
from vae.evaluation.terms import fixed_noise

__all__ = ["FeatureDistance", "bootstrap_error", "frechet_distance"]


BATCH = 500
"""Images at a time."""

FEW = 640
"""Images below which a covariance of 64 features is rough, and the distance too large."""


class _Given(nn.Module):
    """What torchmetrics takes for a network: features that are there already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, x: Tensor) -> Tensor:
        return x


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """The Fréchet distance between two sets of features, by torchmetrics, in float64.

    Of sets of N images from one distribution it is not 0, but about a constant over N.

    Arguments:
        first: ``(N, D)``, N at least 2.
        second: ``(M, D)``, M at least 2.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(_Given(first.shape[1])).to(first.device)
    metric.update(first.double(), real=True)
    metric.update(second.double(), real=False)
    return float(metric.compute())


def bootstrap_error(first: Tensor, second: Tensor, seed: int, resamples: int = 20) -> float:
    """The standard error of :func:`frechet_distance`, from images drawn again with replacement."""
    from threadpoolctl import threadpool_limits

    generator = torch.Generator().manual_seed(seed)
    found = []
    with threadpool_limits(1):
        for _ in range(resamples):
            drawn = (
                x[torch.randint(len(x), (len(x),), generator=generator).to(x.device)]
                for x in (first, second)
            )
            found.append(frechet_distance(*drawn))
    return torch.tensor(found).std().item()


class FeatureDistance(Part):
    """Fréchet distances in the features of a small classifier that is trained here.

    Of samples of the prior, and of reconstructions, from the images; and as their floor of training
    images that the classifier has not seen. Where the data are binary, pixels are drawn.

    Arguments:
        train: Training images of the classifier, at most.
        epochs: How often it sees each of them.

    Raises:
        ValueError: If a number is less than 1.
    """

    name = "features"
    title = "Fréchet distance of a small classifier's features: samples and reconstructions"

    def __init__(self, train: int = 20_000, epochs: int = 3) -> None:
        if train < 1 or epochs < 1:
            raise ValueError(
                f"features: numbers of images and epochs must be at least 1, got {train} and {epochs}"
            )
        self.train, self.epochs = train, epochs

    def why_not(self, subject: Subject) -> str | None:
        return no_classes(subject)

    def seconds(self, subject: Subject) -> float:
        return 0.002  # training included: 20 s of MNIST's test images, on two cores

    def prepare(self, subject: Subject) -> None:
        data, device = subject.data, subject.device
        if "weights" in self.kept:  # of an evaluation that goes on: trained anew, it would differ
            shape, classes = data.image_shape, int(self.kept["classes"])
            classifier = SmallClassifier(shape, classes).to(device).eval().requires_grad_(False)
            vector_to_parameters(self.kept["weights"].to(device), classifier.parameters())
            self._classifier = classifier
            return
        images = data.count(subject.split)
        wanted = min(images or subject.limit or 10_000, subject.limit or images or 10_000)
        pairs = list(labelled_batches(data, "train", device, BATCH, self.train + wanted))
        x = torch.cat([x for x, _ in pairs])
        labels = torch.cat([labels for _, labels in pairs])  # type: ignore[misc]
        seen = min(self.train, max(len(x) - wanted, 3 * len(x) // 4))
        held = min(wanted, len(x) - seen)  # for the floor: unseen, as the images are
        _, labels = labels.unique(return_inverse=True)
        seed = mix_seeds(subject.seed, -1)
        classifier = trained_classifier(x[:seen], labels[:seen], seed, self.epochs)
        with torch.no_grad():
            floor = [classifier.features(part) for part in x[len(x) - held :].split(BATCH)]
            right = (classifier(part).argmax(1) for part in x[len(x) - held :].split(BATCH))
            accuracy = (torch.cat(list(right)) == labels[len(x) - held :]).double()
        self._classifier = classifier
        self.kept = {
            "floor": torch.cat(floor).cpu(),
            "accuracy": accuracy.cpu(),
            "train": torch.tensor(seen),
            "classes": labels.max().cpu() + 1,
            "weights": parameters_to_vector(classifier.parameters()).cpu(),
        }

    @torch.no_grad()
    def measure(self, subject: Subject, x: Tensor, first: int) -> dict[str, Tensor]:
        vae, drawn = subject.vae, subject.data.is_binary
        with fixed_noise(x.device, mix_seeds(subject.seed, first)):
            samples = vae.sample(len(x), draw=drawn)
            p = vae.decode(vae.posterior(x).sample())
            again = p.sample() if drawn else p.mean
        shown = {"images": x, "samples": samples, "reconstructions": again}
        return {
            name: self._classifier.features(images.float().clamp(0, 1)).cpu()
            for name, images in shown.items()
        }

    def numbers(self, subject: Subject, values: Mapping[str, Tensor]) -> list[Number]:
        floor = self.kept["floor"].double()
        accuracy, real = self.kept["accuracy"], values["images"]
        classifier = {"train": int(self.kept["train"]), "of": "training images it has not seen"}
        found = []
        for number, (name, other) in enumerate(
            {
                "samples": values["samples"],
                "reconstructions": values["reconstructions"],
                "floor": floor,
            }.items()
        ):
            count = min(len(other), len(real))
            if count < 2:
                continue
            warning = f"of {count} images its bias is large: compare with the floor"
            if len(other) < len(real):  # of an evaluation that went on, or too few training images
                warning = (
                    f"of {count} images, the others of {len(real)}: its bias is larger than theirs"
                )
            found.append(
                Number(
                    f"frechet_{name}",
                    frechet_distance(real, other),
                    bootstrap_error(real, other, mix_seeds(subject.seed, -2, number)),
                    unit="features²",
                    labels={"features": real.shape[1], "against": len(other)},
                    warning=warning if count < FEW or len(other) < len(real) else "",
                    images=count if count < len(real) else None,
                )
            )
        about = mean_of(
            "classifier_accuracy",
            100 * accuracy,
            unit="%",
            labels=classifier,
            images=len(accuracy) if len(accuracy) < len(real) else None,
        )
        return [*found, about]

    def remarks(self, subject: Subject, values: Mapping[str, Tensor]) -> list[str]:
        return [
            "frechet_*: Fréchet distance of a small classifier's features, which is not FID; it compares"
            " models of the same data, with the same seed and number of images; the floor is that of"
            " training images"
        ]
