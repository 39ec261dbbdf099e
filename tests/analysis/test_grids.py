"""Pictures: hard samples only, the same ones every time, in the colours of an image."""

import itertools

import pytest
import torch
from torchvision.utils import make_grid, save_image

from vae import VAE
from vae.analysis.images import GAP, WIDTH, _grid, reconstruction_grid, sample_grid, write_image
from vae.data.digits import DigitsDataModule
from vae.models.latents.relaxed_one_hot import RelaxedOneHot
from vae.models.likelihoods import Bernoulli
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.training.callbacks.images import ImageGrids

SHAPE = (1, 8, 8)


def relaxed():
    latent = RelaxedOneHot(6, 2, 3)
    likelihood = Bernoulli(MLPDecoder(latent.code_features, SHAPE, hidden=[6]))
    return VAE(MLPEncoder(SHAPE, [6]), latent, likelihood)


def test_pictures_of_a_relaxed_model_are_of_hard_samples(monkeypatch):
    codes, forward = [], Bernoulli.forward

    def look(self, code):
        codes.append(code)
        return forward(self, code)

    monkeypatch.setattr(Bernoulli, "forward", look)
    vae = relaxed()
    reconstruction_grid(vae, torch.rand(5, *SHAPE))
    sample_grid(vae, 7)
    assert [len(code) for code in codes] == [5, 7]
    assert all(set(code.unique().tolist()) == {0.0, 1.0} for code in codes)
    assert all((code.unflatten(-1, (2, 3)).sum(-1) == 1).all() for code in codes)


def test_a_grid_is_an_image_with_originals_above_reconstructions():
    x = torch.zeros(3, *SHAPE)
    x[:, :, 2:5] = 1
    grid = reconstruction_grid(relaxed(), x)
    assert grid.shape[0] == 3 and 0 <= grid.min() <= grid.max() <= 1
    top = grid[0, 4:60, 4:60]  # the first image, magnified seven times
    assert torch.equal(top[::7, ::7], x[0, 0])


def test_the_last_row_of_originals_is_above_its_reconstructions_too():
    x = torch.zeros(5, *SHAPE)
    grid = reconstruction_grid(relaxed(), x, columns=4)[0]
    rows = [grid[4 + 60 * i : 60 + 60 * i] for i in range(4)]
    assert grid.shape == (4 + 4 * 60, 4 + 4 * 60)
    assert (rows[2][:, 4:60] == 0).all() and (rows[2][:, 64:] == 0.5).all()  # the fifth original
    assert (rows[3][:, 4:60] != 0.5).all() and (rows[3][:, 64:] == 0.5).all()


@pytest.mark.parametrize(
    "count, channels, columns", [*itertools.product((1, 2, 5, 16, 17), (1, 3), (1, 4, 16))]
)
def test_grids_and_files_are_those_of_torchvision_to_the_bit(tmp_path, count, channels, columns):
    columns = min(columns, count)
    images = torch.rand(count, channels, 60, 57, generator=torch.Generator().manual_seed(count))
    grid = _grid(images, columns)
    assert torch.equal(grid, make_grid(images, columns, padding=WIDTH, pad_value=GAP))
    write_image(grid, tmp_path / "ours.png")
    save_image(grid, tmp_path / "theirs.png")
    assert (tmp_path / "ours.png").read_bytes() == (tmp_path / "theirs.png").read_bytes()


def test_the_callback_draws_the_same_noise_and_takes_none(tmp_path):
    class Trainer:
        is_global_zero, global_step, loggers = True, 3, []

        datamodule = DigitsDataModule()

    class Module(torch.nn.Module):
        device = torch.device("cpu")

    Trainer.datamodule.setup()
    module, images = Module(), []
    module.vae = relaxed()
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        ImageGrids(tmp_path / str(seed), 1).draw(Trainer(), module, 9)
        assert torch.equal(before, torch.get_rng_state())
        images.append((tmp_path / str(seed) / "samples-0009.png").read_bytes())
    assert images[0] == images[1] and module.training
