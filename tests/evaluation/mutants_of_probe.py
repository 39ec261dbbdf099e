"""Mutants of labels, codes, probes and the distance of features."""

from __future__ import annotations

from types import ModuleType

import torch
from evaluator_mutation import Mutant
from probe_subject import asked, subject, tiny
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from vae.data.digits import DigitsDataModule
from vae.data.plain_loader import PlainLoader

IMAGE = 100 / 250
"""Per cent that one of the digits' test images is."""


def digits(kind: type = DigitsDataModule) -> DigitsDataModule:
    data = kind(binarization="none")
    data.setup()
    return data


def wrong(x: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of images whose label is not that of the same image in scikit-learn's file."""
    file = load_digits()
    rows = (torch.from_numpy(file.images).flatten(1) * (255 / 16)).round() / 255
    index = torch.cdist(x.double().flatten(1), rows.double()).argmin(1)
    return (torch.from_numpy(file.target)[index] != labels).double().mean().item()


def beside(module: ModuleType) -> float:
    """Labels served beside images, in batches, against those of scikit-learn's file, all"""
    pairs = list(module.labelled_batches(digits(), "test", batch_size=90))
    x, labels = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    return wrong(x, labels) / 0.001


def of_file(module: ModuleType) -> float:
    """Labels of the digits against those of the same images in scikit-learn's file, all"""
    data = digits(module.Digits)
    x = torch.cat(list(data.loader("val")))
    return wrong(x, data.labels("val")) / 0.001


def turned(module: ModuleType) -> float:
    """Labels of a loader whose hook turns batches round against the images' own numbers, all"""
    numbers = torch.arange(12)
    batches = [(n[:, None, None, None].float(), n) for n in numbers.split(5)]
    hook = lambda batch: [part.flip(0) for part in batch]
    loader = PlainLoader(batches, lambda batch: hook(batch)[0], 0, 5, evaluates=True)
    images = torch.cat(list(loader)).flatten()
    labels = module.labels_served(loader, hook, None)
    return (images != labels).double().mean().item() / 0.001


def neighbours(module: ModuleType) -> float:
    """Accuracy of 5 neighbours in E_q[z] against scikit-learn's, fitted on training images, to 1 image"""
    vae, data = tiny(), digits()
    sets = []
    for split, limit in (("train", 300), ("test", 250)):
        x = torch.cat(list(data.loader(split, batch_size=50, limit=limit)))
        sets.append((vae.posterior(x).mean.detach().numpy(), data.labels(split, limit).numpy()))
    truth = 100 * KNeighborsClassifier(5).fit(*sets[0]).score(*sets[1])
    part = module.RepresentationProbe(train=300, pixels=False)
    found = asked(part, subject(vae, data), batch_size=100)[0]["probe_knn"].value
    return abs(found - truth) / (1.01 * IMAGE)


def guessing(module: ModuleType) -> float:
    """Chance against the test images that are of the most frequent class in training, to 1 image"""
    data = digits()
    frequent = data.labels("train", 90).mode().values
    truth = 100 * (data.labels("test") == frequent).double().mean().item()
    part = module.RepresentationProbe(train=90, pixels=False)
    found = asked(part, subject(tiny(), data), batch_size=100)[0]["probe_chance"].value
    return abs(found - truth) / (0.01 * IMAGE)


def constant(module: ModuleType) -> float:
    """Errors of the reconstruction 0.25 of images of ones against 0.5625 and 64 log 4, to 1e-3"""
    found = module.reconstruction_error(tiny(constant=0.25), torch.ones(3, 1, 8, 8))
    nats = (found["cross_entropy"] - 88.7228).abs().max().item()
    return max(nats, (found["mse"] - 0.5625).abs().max().item()) / 1e-3


def own_image(module: ModuleType) -> float:
    """Errors of twin images against each other's: the posterior of one gives nothing of another's"""
    model = tiny()
    x = torch.cat([torch.zeros(200, 1, 8, 8), torch.ones(200, 1, 8, 8)])
    with torch.no_grad():
        mean = model.decode(model.posterior(x).mean).mean  # z varies by much less than this
        gap = (mean[:1] - mean[200:201]).abs().mean().item()
        torch.manual_seed(0)
        found = module.reconstruction_error(model, x)["mse"]
        torch.manual_seed(0)
        wanted = (model(x) - x).square().flatten(1).mean(1)
    return (found - wanted).abs().max().item() / (0.01 * max(gap, 1e-3))


def mean_code(module: ModuleType) -> float:
    """Features of images against the mean of q, to 1e-5"""
    vae, x = tiny(), next(iter(digits().loader("test")))
    found, _ = module.features(vae, x)
    return (found - vae.posterior(x).mean).abs().max().item() / 1e-5


def spread(module: ModuleType) -> float:
    """Standardised samples z of q against a standard deviation of 1, to 5 standard errors"""
    vae, x = tiny(), next(iter(digits().loader("test")))
    found = module.encode(vae, x)
    z = (found["z"] - found["loc"]) / found["scale"]
    return abs(z.std().item() - 1) / (5 / (2 * z.numel()) ** 0.5)


def closed_form(module: ModuleType) -> float:
    """The distance of 20,000 draws of N(0, 1) and N(2, 9) in 2 dimensions against 16, to 0.5"""
    torch.manual_seed(0)
    first, second = torch.randn(20_000, 2), 2 + 3 * torch.randn(20_000, 2)
    return abs(module.frechet_distance(first, second) - 16) / 0.5


def new_images(module: ModuleType) -> float:
    """The standard error of a distance against its spread over 40 new sets of images, to a half"""
    torch.manual_seed(0)
    shift = torch.tensor([3.0, 0.0])
    pairs = [(torch.randn(200, 2), torch.randn(200, 2) + shift) for _ in range(40)]
    true = torch.tensor([module.frechet_distance(*pair) for pair in pairs]).std()
    errors = [module.bootstrap_error(*pair, 0) for pair in pairs[:4]]
    return abs(torch.tensor(errors).mean().item() / true.item() - 1) / 0.5


def unseen(module: ModuleType) -> float:
    """Features of the floor against those of images after the classifier's, to 1e-4"""
    data = digits()
    part = module.FeatureDistance(train=120, epochs=1)
    asked(part, subject(tiny(), data, limit=40))
    x = torch.cat(list(data.loader("train", batch_size=250)))[120:160]
    return (part._classifier.features(x) - part.kept["floor"]).abs().max().item() / 1e-4


def drawn(module: ModuleType) -> float:
    """Features of samples of pixels with one probability: those of binary data vary by their draws"""
    data = DigitsDataModule()
    data.setup()
    part = module.FeatureDistance(train=60, epochs=1)
    _, _, values = asked(part, subject(tiny(constant=0.5), data, limit=40))
    return 1e-3 / max(values["samples"].std(0).mean().item(), 1e-9)


def sampled(module: ModuleType) -> float:
    """Features of reconstructions of a constant decoder against its pixels', not the images'"""
    data = digits()
    part = module.FeatureDistance(train=60, epochs=1)
    _, _, values = asked(part, subject(tiny(constant=0.5), data, limit=40))
    wanted = part._classifier.features(torch.full((1, 1, 8, 8), 0.5))
    return (values["reconstructions"] - wanted).abs().max().item() / 1e-4


MUTANTS = {
    "labels of the next image": Mutant(
        "vae.data.labels",
        "labels are off by one against the images",
        "these = labels[first : first + len(x)]",
        "these = labels.roll(-1)[first : first + len(x)]",
        beside,
    ),
    "labels of the first batch": Mutant(
        "vae.data.labels",
        "every batch of images has the first batch's labels",
        "first += len(x)",
        "first += 0",
        beside,
    ),
    "labels not mixed": Mutant(
        "vae.data.images.digits",
        "labels are in the file's order, images in another",
        "return _splits(torch.from_numpy(_file().target).long())",
        "return dict(zip(('train', 'val', 'test'),"
        " torch.from_numpy(_file().target).long().split([1297, 250, 250])))",
        of_file,
    ),
    "labels before the hook": Mutant(
        "vae.data.labels",
        "a batch that a hook turns round keeps the order of its labels",
        "found = labels_in(batch) if after is None else after",
        "found = labels_in(batch)",
        turned,
    ),
    "probe fitted on test": Mutant(
        "vae.evaluation.probe",
        "the probe is fitted on the images that it is scored on",
        'subject.data, "train", subject.device, BATCH, self.train',
        "subject.data, subject.split, subject.device, BATCH, self.train",
        neighbours,
    ),
    "probe's labels of the first batch": Mutant(
        "vae.evaluation.probe",
        "every batch is scored by the first batch's labels",
        "self._labels[first : first + len(x)]",
        "self._labels[: len(x)]",
        neighbours,
    ),
    "probe of the pixels": Mutant(
        "vae.evaluation.probe",
        "codes are classified by a probe of pixels, under their own name",
        'found["codes"].append(code.cpu())',
        'found["codes"].append(x.flatten(1)[:, : code.shape[1]])',
        neighbours,
    ),
    "chance of the rarest class": Mutant(
        "vae.evaluation.probe",
        "chance is guessing class 0",
        '"frequent": labels.mode().values',
        '"frequent": labels.min()',
        guessing,
    ),
    "error summed over pixels": Mutant(
        "vae.evaluation.probe",
        "the squared error is a sum over pixels, though it is said to be a pixel's",
        "(mean - x).square().flatten(1).mean(1)",
        "(mean - x).square().flatten(1).sum(1)",
        constant,
    ),
    "cross-entropy a pixel": Mutant(
        "vae.evaluation.probe",
        "the cross-entropy is averaged over pixels, though it is said to be an image's",
        "nats.flatten(1).sum(1)",
        "nats.flatten(1).mean(1)",
        constant,
    ),
    "another image's reconstruction": Mutant(
        "vae.evaluation.probe",
        "images are compared with the reconstructions of others",
        "mean = vae(x)",
        "mean = vae(x.flip(0))",
        own_image,
    ),
    "features of a sample": Mutant(
        "vae.evaluation.encoding",
        "features are of a sample of q, not of its mean",
        "code = vae.latent.code(mean)",
        "code = vae.latent.code(q.sample())",
        mean_code,
    ),
    "codes without noise": Mutant(
        "vae.evaluation.encoding",
        "z is the mean of q, not a sample",
        "z = q.sample()\n    found",
        "z = q.mean\n    found",
        spread,
    ),
    "distance to itself": Mutant(
        "vae.evaluation.feature_distance",
        "a set of features is compared with itself",
        "metric.update(second.double(), real=False)",
        "metric.update(first.double(), real=False)",
        closed_form,
    ),
    "error of the mean of resamples": Mutant(
        "vae.evaluation.feature_distance",
        "the spread of resamples is divided by the root of their number",
        "torch.tensor(found).std().item()",
        "torch.tensor(found).std().item() / resamples**0.5",
        new_images,
    ),
    "floor of seen images": Mutant(
        "vae.evaluation.feature_distance",
        "the floor is of images that the classifier was trained on",
        "floor = [classifier.features(part) for part in x[len(x) - held :]",
        "floor = [classifier.features(part) for part in x[:held]",
        unseen,
    ),
    "samples of means": Mutant(
        "vae.evaluation.feature_distance",
        "grey means of p(x|z) are compared with binary images",
        "samples = vae.sample(len(x), draw=drawn)",
        "samples = vae.sample(len(x))",
        drawn,
    ),
    "images for reconstructions": Mutant(
        "vae.evaluation.feature_distance",
        "the images are compared with themselves, as if they were reconstructions",
        "again = p.sample() if drawn else p.mean",
        "again = x",
        sampled,
    ),
}
