"""Centring by the mean of the training images, and the initialisation of weights."""

from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer
from plain_digits import PlainDigits
from small import fit
from torch import nn
from torch.testing import assert_close

from vae.data.batch import DataError
from vae.data.digits import DigitsDataModule
from vae.data.source import images_of
from vae.models.catalogue import LIKELIHOODS
from vae.models.centering import CenteredEncoder, center
from vae.models.composition import compose
from vae.models.load import read
from vae.models.networks import MLPEncoder
from vae.training.many.data import EnsembleData
from vae.training.many.module import Ensemble, seeded
from vae.training.presets import DiscreteVAE, GaussianVAE

IMAGE = (1, 8, 8)
BOTH = {"center_inputs": True, "bias_at_mean": True}
SMALL = {"image_shape": IMAGE, "hidden": [6], "test_samples": 2}


@pytest.fixture(scope="module")
def mean():
    data = DigitsDataModule(binarization="none")
    data.setup()
    return (data.splits["train"].double() / 255).mean(0).float()


def trainer(steps):
    return Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )


def gaussian():
    return GaussianVAE(latent_dim=2, **SMALL, **BOTH)


def test_the_mean_image_of_data_is_that_of_their_training_images(mean):
    for binarization in ("dynamic", "none"):
        data = DigitsDataModule(binarization=binarization)
        data.setup()
        assert_close(data.mean_image(), mean)
    static = DigitsDataModule(binarization="static")
    static.setup()
    drawn = torch.cat(list(static.loader("train"))).mean(0)
    assert_close(static.mean_image(), drawn)
    plain = images_of(PlainDigits())
    assert_close(plain.mean_image(), torch.cat(list(plain.loader("train"))).mean(0))


def test_the_encoder_reads_what_is_left_and_pixels_start_at_their_mean(mean):
    model = compose(IMAGE, **BOTH).vae
    center(model, lambda: mean)
    x = torch.rand(3, *IMAGE)
    assert_close(model.encoder(x), model.encoder.encoder(x - mean))
    for p in model.likelihood.decoder.parameters():
        nn.init.zeros_(p)
    start = model.decode(torch.randn(4, 20)).mean
    assert (mean == 0).any()  # which no logit has
    assert_close(start, mean.clamp(0.001, 0.999).expand(4, *IMAGE))


@pytest.mark.parametrize(
    "make", [gaussian, lambda: DiscreteVAE(estimator="rloo", num_samples=2, **SMALL, **BOTH)]
)
def test_a_checkpoint_holds_the_mean_and_needs_no_data(make, mean, tmp_path):
    trainer = fit(make(), tmp_path, steps=6, steps_per_batch=3)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = read(tmp_path / "a.ckpt").vae
    assert_close(loaded.encoder.mean, mean)
    assert_close(loaded.likelihood.decoder.logit[0], mean.clamp(1e-3, 1 - 1e-3).logit())
    trained = trainer.lightning_module.vae.state_dict()
    assert all(torch.equal(value, trained[name]) for name, value in loaded.state_dict().items())
    center(loaded, lambda: pytest.fail("it is known"))


def test_a_run_is_continued_with_the_mean_that_it_began_with(mean, tmp_path):
    begun = fit(gaussian(), tmp_path, steps=7)
    other = mean.flip(-1)
    begun.lightning_module.vae.encoder.set_mean(other)
    begun.save_checkpoint(tmp_path / "a.ckpt")
    rest = fit(gaussian(), tmp_path, steps=9, ckpt_path=tmp_path / "a.ckpt").lightning_module
    assert_close(rest.vae.encoder.mean, other)
    again = fit(rest, tmp_path, steps=9).lightning_module  # fine-tuned on other data
    assert_close(again.vae.encoder.mean, other)


def test_models_trained_at_once_are_centred_each_as_alone(tmp_path):
    pairs = [seeded(seed, gaussian) for seed in (3, 4)]
    members, generators = zip(*pairs, strict=True)
    data = EnsembleData([DigitsDataModule(seed=seed) for seed in (3, 4)])
    trainer(10).fit(Ensemble(members, generators), data)
    alone = seeded(4, gaussian)[0]
    trainer(10).fit(alone, DigitsDataModule(seed=4))
    other, own = members[1].state_dict(), alone.state_dict()
    assert all(torch.allclose(own[name], other[name], atol=1e-5) for name in own)
    assert own["vae.encoder.mean"].any()


def test_without_a_data_module_the_mean_is_asked_for():
    with pytest.raises(DataError, match="centred by the mean .* vae.models.centering.center"):
        trainer(1).fit(gaussian(), *2 * [torch.utils.data.DataLoader(torch.rand(8, *IMAGE), 4)])


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_pixels_start_at_a_logit_where_it_is_that_of_their_mean(name, mean):
    make = partial(compose, IMAGE, likelihood=LIKELIHOODS[name].factory(), bias_at_mean=True)
    if name not in ("bernoulli", "gaussian", "gaussian_stated", "gaussian_per_pixel"):
        with pytest.raises(ValueError, match="bias_at_mean .*leave it out, or use") as error:
            make()
        assert "\n" not in str(error.value)
        return
    model = make().vae
    center(model, lambda: mean)
    for p in model.likelihood.decoder.parameters():
        nn.init.zeros_(p)
    start = model.sample(2)
    assert_close(start, mean.clamp(0.001, 0.999).expand(2, *IMAGE))


def test_an_encoder_without_features_is_named_centred_or_not():
    for centred in (True, False):
        with pytest.raises(ValueError, match="Flat has no out_features"):
            compose(
                IMAGE,
                encoder=lambda shape: type("Flat", (nn.Flatten,), {})(),
                center_inputs=centred,
            )


def test_glorot_weights_have_its_range_and_no_bias():
    made = compose(IMAGE, initialization="glorot", encoder=partial(MLPEncoder, hidden=[300]))
    for layer in made.vae.modules():
        if isinstance(layer, nn.Linear):
            bound = (6 / sum(layer.weight.shape)) ** 0.5
            assert 0.99 * bound < layer.weight.abs().max() <= bound
            assert not layer.bias.any()
    with pytest.raises(ValueError, match="unknown initialization 'he': choose from torch, glorot"):
        compose(IMAGE, initialization="he")


def test_by_default_nothing_is_centred():
    assert not any(isinstance(part, CenteredEncoder) for part in compose(IMAGE).modules())
