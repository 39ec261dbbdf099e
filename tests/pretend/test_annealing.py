"""Annealing on a device: chains of continuous and discrete latents stay there, float64 or not."""

import pretend_device
import pytest
import torch
from every_part import FAMILIES, LATENTS
from pretend_runs import DEVICE

from vae import VAE
from vae.evaluation import ais as ais_module
from vae.evaluation import rate_distortion as curve_module
from vae.evaluation.ais import AIS
from vae.evaluation.annealing import pilot
from vae.evaluation.part import Subject
from vae.evaluation.rate_distortion import RateDistortion
from vae.models.likelihoods import Bernoulli
from vae.models.networks import MLPDecoder, MLPEncoder

SHAPE = (1, 2, 2)


slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("family", "float64"),
    [
        ("gaussian", False),
        ("one_hot", False),
        pytest.param("gaussian", True, marks=slow),
        pytest.param("dirichlet", False, marks=slow),
        pytest.param("von_mises", True, marks=slow),  # torch draws it by float64
    ],
)
def test_chains_move_on_a_device(family, float64, monkeypatch):
    pretend_device.FLAGS.float64 = float64
    for module in (ais_module, curve_module):
        monkeypatch.setattr(module, "pilot", lambda *words: pilot(*words, burn_in=1))
    torch.manual_seed(0)
    latent = (LATENTS | FAMILIES)[family](6, 2)
    likelihood = Bernoulli(MLPDecoder(latent.code_features, SHAPE, hidden=[6]))
    vae = VAE(MLPEncoder(SHAPE, [6]), latent, likelihood).eval().to(DEVICE)
    x = torch.bernoulli(torch.full((3, *SHAPE), 0.5)).to(DEVICE)
    subject = Subject(vae.hard, vae, None, "test", None, DEVICE, 0)
    part = AIS(2, 2, simulated=2 * (family == "gaussian"))
    values = part.measure(subject, x, 0)
    assert values["lower"].isfinite().all() and len(values["lower"]) == 3
    part.numbers(subject, {key: value.cpu().double() for key, value in values.items()})
    if family == "gaussian":
        values = RateDistortion(2, 2).measure(subject, x, 0)
        assert values["rate"].isfinite().all()
