r"""How good the codes are as representations: probes for the class, and reconstruction errors.

A probe is a classifier that sees only the features of the codes: a linear one, and the vote of the
nearest neighbours. It is fitted on training images and scored on the others; beside it stand the
same probes of the pixels themselves, and always guessing the most frequent class.

References:
    | Understanding Intermediate Layers Using Linear Classifier Probes (Alain & Bengio, 2017)
    | (https://arxiv.org/abs/1610.01644), section 3.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from vae.data.labels import labelled_batches
from vae.data.loader import mix_seeds
from vae.evaluation.encoding import WORDS, features
from vae.evaluation.part import Number, Part, Subject, mean_of
from vae.evaluation.terms import fixed_noise
from vae.models.vae import VAE

__all__ = ["Probe", "RepresentationProbe", "no_classes", "reconstruction_error"]


BATCH = 500
"""Training images encoded at a time."""


class Probe:
    """A linear classifier and nearest neighbours, fitted on features of training images.

    The linear one is a logistic regression (L2 penalty 1) on features scaled to variance 1; distances
    between neighbours are of the features as they are.

    Arguments:
        features: ``(N, D)``.
        labels: Their classes ``(N,)``, two different ones at least.
        neighbours: How many vote, at most N.

    Attributes:
        converged: Whether the logistic regression did, within 1,000 iterations.
    """

    def __init__(self, features: Tensor, labels: Tensor, neighbours: int = 5) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from threadpoolctl import threadpool_limits

        x, y = features.float().cpu().numpy(), labels.cpu().numpy()
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        # on a busy machine two threads wait for one another: 20 s in place of one
        with warnings.catch_warnings(record=True) as caught, threadpool_limits(1):
            warnings.simplefilter("always", ConvergenceWarning)
            linear.fit(x, y)
        self.converged = not caught
        nearest = KNeighborsClassifier(min(neighbours, len(x)), algorithm="brute").fit(x, y)
        self._classifiers = {"linear": linear, "knn": nearest}

    def correct(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """1 where the class is recognised, else 0: ``linear`` and ``knn``, each ``(B,)``."""
        from threadpoolctl import threadpool_limits

        x, y = features.float().cpu().numpy(), labels.cpu().numpy()
        with threadpool_limits(1):
            return {
                name: torch.from_numpy(classifier.predict(x) == y).double()
                for name, classifier in self._classifiers.items()
            }


@torch.no_grad()
def reconstruction_error(vae: VAE, x: Tensor) -> dict[str, Tensor]:
    """How far the mean of p(x|z) at a sample z of q(z|x) is from the image, each ``(B,)``.

    With hard latents; z is drawn from the global generator.

    Arguments:
        vae: The model.
        x: Images ``(B, *image)``.

    Returns:
        ``mse``, the squared error averaged over pixels; and of a likelihood of binary pixels
        ``cross_entropy``, summed over pixels, in nats.
    """
    mean = vae(x)
    found = {"mse": (mean - x).square().flatten(1).mean(1)}
    if vae.likelihood.binary:
        nats = binary_cross_entropy(mean.clamp(0, 1), x, reduction="none")
        found["cross_entropy"] = nats.flatten(1).sum(1)
    return found


def no_classes(subject: Subject) -> str | None:
    """Why nothing can be learned of the images' classes, in one line; None if it can."""
    if subject.split == "train":
        return "it learns the classes of training images: evaluate on val or test"
    try:
        for split in ("train", subject.split):
            if subject.data.labels(split, 1) is None:
                return f"the {split} images have no labels, one whole number each"
    except (FileNotFoundError, ValueError) as error:
        return str(error)
    return None


class RepresentationProbe(Part):
    """Classifies images by their codes, and measures their reconstructions.

    Arguments:
        train: Training images to fit the probes on.
        neighbours: How many of the nearest of them vote on the class.
        pixels: Whether to fit the same probes on the pixels too, to compare with.

    Raises:
        ValueError: If a number is less than 1.
    """

    name = "probe"
    title = "linear probe and nearest neighbours on codes, reconstruction error"

    def __init__(self, train: int = 10_000, neighbours: int = 5, pixels: bool = True) -> None:
        if train < 1 or neighbours < 1:
            raise ValueError(
                f"probe: numbers of images and neighbours must be at least 1, got {train} and {neighbours}"
            )
        self.train, self.neighbours, self.pixels = train, neighbours, pixels

    def seconds(self, subject: Subject) -> float:
        return 0.002  # fitting included: 20 s of MNIST's test images, on two cores

    def prepare(self, subject: Subject) -> None:
        self._probes: dict[str, Probe] = {}
        self._labels: Tensor | None = None
        if no_classes(subject) is not None:
            return
        found: dict[str, list[Tensor]] = {"codes": [], "pixels": [], "labels": []}
        with fixed_noise(subject.device, mix_seeds(subject.seed, -1)):
            for x, labels in labelled_batches(
                subject.data, "train", subject.device, BATCH, self.train
            ):
                code, words = features(subject.vae, x)
                found["codes"].append(code.cpu())
                found["pixels"].append(x.flatten(1).cpu())
                found["labels"].append(labels.cpu())  # type: ignore[union-attr]
        held = {name: torch.cat(parts) for name, parts in found.items()}
        labels = held.pop("labels")
        if len(labels.unique()) < 2:
            return
        self._labels = subject.data.labels(subject.split, subject.limit)
        for name in ("codes", "pixels")[: 1 + self.pixels]:
            self._probes[name] = Probe(held[name], labels, self.neighbours)
        self.kept = {
            "train": torch.tensor(len(labels)),
            "frequent": labels.mode().values,
            "features": torch.tensor(WORDS.index(words)),
            "unconverged": torch.tensor([not p.converged for p in self._probes.values()]),
        }

    @torch.no_grad()
    def measure(self, subject: Subject, x: Tensor, first: int) -> dict[str, Tensor]:
        with fixed_noise(x.device, mix_seeds(subject.seed, first)):
            found = reconstruction_error(subject.vae, x)
            seen = {"codes": features(subject.vae, x)[0], "pixels": x.flatten(1)}
        if self._labels is None:
            return found
        labels = self._labels[first : first + len(x)]
        for name, probe in self._probes.items():
            for kind, right in probe.correct(seen[name], labels).items():
                found[f"{kind} {name}"] = right
        found["frequent"] = (labels == self.kept["frequent"].cpu()).double()
        return found

    def numbers(self, subject: Subject, values: Mapping[str, Tensor]) -> list[Number]:
        how = {"samples": 1}
        found = [mean_of("reconstruction_mse", values["mse"], unit="a pixel", labels=how)]
        if "cross_entropy" in values:
            found.append(
                mean_of("reconstruction_cross_entropy", values["cross_entropy"], labels=how)
            )
        if "frequent" not in values:
            return found
        train = {"train": int(self.kept["train"])}
        unconverged = dict(
            zip(("codes", "pixels"), self.kept["unconverged"].tolist(), strict=False)
        )
        shown = {"codes": WORDS[int(self.kept["features"])], "pixels": "pixels"}
        for name, words in shown.items():
            if f"linear {name}" not in values:
                continue
            end = "" if name == "codes" else "_pixels"
            warning = "the logistic regression has not converged" if unconverged[name] else ""
            linear, nearest = values[f"linear {name}"], values[f"knn {name}"]
            labels = {"features": words, **train}
            found += [
                percent(f"probe_linear{end}", linear, labels=labels, warning=warning),
                percent(f"probe_knn{end}", nearest, labels={"k": self.neighbours, **labels}),
            ]
        guess = {"guess": "the most frequent class"}
        return [*found, percent("probe_chance", values["frequent"], labels=guess)]

    def remarks(self, subject: Subject, values: Mapping[str, Tensor]) -> list[str]:
        if "frequent" in values:
            return []
        why = no_classes(subject) or "the training images are all of one class"
        return [f"probe: reconstruction errors only: {why}"]


percent: Callable[..., Number] = lambda name, right, **about: mean_of(
    name, 100 * right, unit="%", **about
)
"""A share of images in per cent, with its binomial standard error."""
