"""Many models at once: each takes the steps that it would take alone."""

import json
import math
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
import wandb_offline
from chaos import UNTIMED
from lightning.pytorch import Trainer
from subset_models import SUBSETS
from torch.func import vmap

from vae.cli.errors import one_line_errors
from vae.data.digits import DigitsDataModule
from vae.estimators import ESTIMATORS
from vae.run.checkpoint import load
from vae.training.many.data import EnsembleData
from vae.training.many.mapped import check_mappable
from vae.training.many.module import Ensemble, seeded
from vae.training.many.streams import Generators, Streams
from vae.training.presets import ContinuousVAE, DiscreteVAE, GaussianVAE

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
SMALL = {"image_shape": (1, 8, 8), "hidden": [16]}
ONE_HOT = {"num_variables": 3, "num_categories": 4}
FAMILIES = {
    "gaussian": lambda **options: GaussianVAE(latent_dim=3, **SMALL, **options),
    "one_hot": lambda **options: DiscreteVAE(**ONE_HOT, **SMALL, **options),
    "binary": lambda **options: DiscreteVAE(latent="binary", num_variables=4, **SMALL, **options),
    **SUBSETS,
}


def in_double(make):
    """The model in float64, where rounding cannot decide a discrete sample."""

    def build():
        module = make().double()
        bound = module.bound
        module.bound = lambda x: bound(x.double())
        return module

    return build


def fit(module, data, epochs=2):
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data)
    return module


def data(seed):
    return DigitsDataModule(batch_size=500, seed=seed)  # 3 steps an epoch, the last one smaller


def alone(make, seed):
    return fit(seeded(seed, make)[0], data(seed))


def together(makes, seeds):
    members, generators = zip(*map(seeded, seeds, makes), strict=True)
    return fit(Ensemble(members, generators), EnsembleData([data(seed) for seed in seeds]))


def distance(a, b):
    """The largest difference of any parameter or buffer."""
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def assert_same(*makes, seeds=(3, 8)):
    """Models trained together are those trained alone, to rounding in float64."""
    makes = [in_double(make) for make in makes]
    makes = makes if len(makes) > 1 else makes * len(seeds)
    ensemble = together(makes, seeds)
    members = list(ensemble)
    assert distance(*members[:2]) > 1e-3
    for member, make, seed in zip(members, makes, seeds, strict=True):
        assert distance(member, seeded(seed, make)[0]) > 1e-4  # it was trained
        assert distance(member, alone(make, seed)) < 1e-11
    return ensemble


def every_case():
    """Each estimator with each family that it is defined for."""
    for name in ESTIMATORS:
        for family, make in FAMILIES.items():
            for objective in ("elbo", "iwae"):
                options = {"estimator": name, "objective": objective, "num_samples": 4}
                if family == "gaussian":  # where stl and gdreg differ from pathwise and dreg
                    elbo = objective == "elbo"
                    options |= {"kl": "monte_carlo"} if elbo else {"learned_prior": True}
                try:
                    make(**options)
                except NotImplementedError:
                    continue
                yield pytest.param(family, options, id=f"{name}-{family}-{objective}")
                break


RUNNING = {
    "estimator": "muprop",
    "estimator_options": {"hidden": 4, "centre": True, "scale": True},
}


@pytest.mark.parametrize("family, options", list(every_case()))
def test_each_model_is_the_one_trained_alone(family, options):
    assert_same(lambda: FAMILIES[family](**options))


@pytest.mark.parametrize(
    "make",
    [
        lambda: GaussianVAE(estimator="gdreg", objective="iwae", learned_prior=True, **SMALL),
        lambda: GaussianVAE(network="conv", image_shape=(1, 8, 8), hidden=[4, 4]),
        lambda: GaussianVAE(likelihood="gaussian", gradient_clip_norm=1.0, **SMALL),
        lambda: GaussianVAE(estimator="nvil", gradient_clip_norm=1.0, **SMALL),
        lambda: DiscreteVAE(**ONE_HOT, kl="monte_carlo", **RUNNING, **SMALL),
        lambda: GaussianVAE(kl="monte_carlo", likelihood="continuous_bernoulli", **SMALL),
        lambda: DiscreteVAE(**ONE_HOT, kl="relaxed", learned_prior=True, **SMALL),
        lambda: ContinuousVAE(latent="gamma", latent_options={"learned_prior": True}, **SMALL),
        lambda: ContinuousVAE(latent="gamma", estimator="rloo", num_samples=2, **SMALL),
        lambda: ContinuousVAE(latent="poisson", num_samples=2, **SMALL),
    ],
    ids="gdreg conv clipped clipped-baseline running monte-carlo relaxed gamma gamma-rloo poisson".split(),
)
def test_so_it_is_with_other_networks_likelihoods_and_families(make):
    assert_same(make)


@pytest.mark.parametrize("latent", ["beta", "dirichlet", "von_mises"])
def test_what_cannot_be_mapped_over_models_says_so_and_leaves_no_trace(latent):
    module, _ = seeded(0, lambda: ContinuousVAE(latent=latent, num_samples=2, **SMALL))
    before, state = module.state_dict(), torch.get_rng_state()
    before = {name: value.clone() for name, value in before.items()}
    with pytest.raises(NotImplementedError, match="cannot be trained many at once") as error:
        check_mappable(module, torch.zeros(2, 1, 8, 8))
    assert "\n" not in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


class Hooked(GaussianVAE):
    def on_train_epoch_start(self):
        self.objective.beta.fill_(0.5)


def test_hooks_of_one_s_own_which_nobody_would_call_are_refused():
    module, _ = seeded(0, lambda: Hooked(**SMALL))
    with pytest.raises(NotImplementedError, match="Hooked.on_train_epoch_start is not called"):
        check_mappable(module, torch.zeros(2, 1, 8, 8))


def test_a_trial_step_leaves_no_trace():
    options = {"estimator": "reinforce_moving_average", **SMALL}
    module, _ = seeded(0, lambda: GaussianVAE(**options))
    state = torch.get_rng_state()
    check_mappable(module, torch.zeros(2, 1, 8, 8))
    assert module.estimator.baseline.weight == 0
    assert distance(module, seeded(0, lambda: GaussianVAE(**options))[0]) == 0
    assert torch.equal(state, torch.get_rng_state())


def test_in_single_precision_they_part_by_rounding_alone():
    """At first: what training makes of it later is no property of this code."""
    make = partial(FAMILIES["one_hot"], estimator="relax", objective="iwae", num_samples=4)
    ensemble = together([make, make], (3, 8))
    for member, seed in zip(ensemble, (3, 8), strict=True):
        assert 0 <= distance(member, alone(make, seed)) < 1e-6


# Hyper-parameters -------------------------------------------------------------------------------


def test_models_may_differ_in_learning_rates_and_beta():
    makes = [
        lambda lr=lr, beta=beta: GaussianVAE(
            lr=lr, beta=beta, beta_warmup=4, estimator="nvil", estimator_lr=3 * lr, **SMALL
        )
        for lr, beta in [(1e-3, 1.0), (1e-3, 0.5), (4e-3, 0.5)]
    ]
    ensemble = assert_same(*makes, seeds=(1, 2, 3))
    assert [float(member.objective.beta) for member in ensemble] == [1.0, 0.5, 0.5]
    groups = ensemble.optimizers().param_groups
    assert [group["lr"] for group in groups] == [1e-3, 3e-3, 4e-3, 12e-3]


def test_models_may_differ_in_their_annealing():
    makes = [
        lambda t=t, every=every: DiscreteVAE(
            **ONE_HOT,
            temperature=t,
            temperature_min=0.1,
            anneal_rate=0.2,
            anneal_every=every,
            **SMALL,
        )
        for t, every in [(1.0, 1), (0.7, 2)]
    ]
    ensemble = assert_same(*makes)
    temperatures = [float(member.estimator.sampler.temperature) for member in ensemble]
    assert temperatures == pytest.approx([math.exp(-0.2 * 5), 0.7 * math.exp(-0.2 * 4)])


def test_models_of_one_learning_rate_are_one_tensor_a_parameter():
    makes = [FAMILIES["gaussian"]] * 3
    ensemble = together(makes, (0, 1, 2))
    (group,) = ensemble.optimizers().param_groups
    assert [len(p) for p in group["params"]] == [3] * len(list(makes[0]().parameters()))
    assert {p.data_ptr() for p in group["params"]} == {
        p.data_ptr() for p in next(iter(ensemble)).parameters()
    }


@pytest.mark.parametrize(
    "other, word",
    [
        (lambda: GaussianVAE(latent_dim=4, **SMALL), "latent_dim"),
        (lambda: GaussianVAE(latent_dim=3, estimator="nvil", **SMALL), "estimator"),
        (lambda: GaussianVAE(latent_dim=3, gradient_clip_norm=1.0, **SMALL), "gradient_clip_norm"),
        (lambda: DiscreteVAE(**ONE_HOT, **SMALL), "class"),
    ],
)
def test_models_that_differ_in_anything_else_are_refused(other, word):
    members, generators = zip(
        *(seeded(0, make) for make in (FAMILIES["gaussian"], other)), strict=True
    )
    with pytest.raises(ValueError, match=f"may differ in lr, .*, not in .*{word}"):
        Ensemble(members, generators)


@pytest.mark.parametrize(
    "make",
    [
        lambda lr: GaussianVAE(lr=lr, **SMALL),
        lambda lr: GaussianVAE(lr=lr, estimator="reinforce", **SMALL),
        lambda lr: DiscreteVAE(lr=lr, latent="binary", estimator="reinforce", **SMALL),
        lambda lr: ContinuousVAE(lr=lr, latent="poisson", num_samples=2, **SMALL),
        lambda lr: ContinuousVAE(lr=lr, latent="gamma", **SMALL),
    ],
    ids="pathwise normal bernoulli poisson gamma".split(),
)
def test_a_model_that_diverges_leaves_the_others_alone(make):
    makes = [in_double(lambda lr=lr: make(lr)) for lr in (1e300, 1e-3)]
    ensemble = together(makes, (0, 1))
    bad, good = ensemble
    assert not all(p.isfinite().all() for p in bad.parameters())
    assert distance(good, alone(makes[1], 1)) < 1e-12
    terms = ensemble.terms("test", torch.zeros(4, 1, 8, 8).double(), 0)
    for value in terms.values():
        assert not value[0].isfinite().any() and value[1].isfinite().all()


# Random numbers ---------------------------------------------------------------------------------


def test_the_comparison_sees_noise_or_order_of_another_seed():
    make = in_double(lambda: FAMILIES["gaussian"]())
    members, generators = zip(*(seeded(seed, make) for seed in (0, 1)), strict=True)
    wrong_noise = Ensemble(members, generators[::-1])
    fit(wrong_noise, EnsembleData([data(0), data(1)]))
    members, generators = zip(*(seeded(seed, make) for seed in (0, 1)), strict=True)
    wrong_order = fit(Ensemble(members, generators), EnsembleData([data(1), data(0)]))
    for ensemble in (wrong_noise, wrong_order):
        assert distance(next(iter(ensemble)), alone(make, 0)) > 1e-4


DRAWS = {
    "normal_": lambda p, **g: torch.empty(2, 3).normal_(1.0, 2.0, **g),
    "exponential_": lambda p, **g: torch.empty(2, 3).exponential_(**g),
    "uniform_": lambda p, **g: torch.empty_like(p).uniform_(-1, 1, **g),
    "randn": lambda p, **g: torch.randn(2, 3, dtype=torch.float64, **g),
    "rand": lambda p, **g: torch.rand((2, 3), **g),
    "normal": lambda p, **g: torch.normal(p, 2 * p, **g),
    "bernoulli": lambda p, **g: torch.bernoulli(p, **g),
    "poisson": lambda p, **g: torch.poisson(p.expand(4, 2, 3), **g),
    "gamma": lambda p, **g: torch._standard_gamma(p, **g),
}


@pytest.mark.parametrize("name", DRAWS)
def test_every_model_draws_what_its_generator_draws(name):
    draw, p = DRAWS[name], torch.rand(3, 2, 3)
    generators = [torch.Generator().manual_seed(seed) for seed in (5, 6, 7)]
    copies = [torch.Generator().set_state(g.get_state()) for g in generators]

    def one(model, p):
        with Streams(Generators(generators), model):
            return draw(p), draw(p)  # the second goes on where the first ended

    drawn = vmap(one, randomness="error")(torch.arange(3), p)
    for s, generator in enumerate(copies):
        for values in drawn:
            assert torch.equal(values[s], draw(p[s], generator=generator))


def test_a_draw_of_another_kind_fails_and_a_tensor_filled_in_place_is_not_read():
    generators = [torch.Generator(), torch.Generator()]

    def unknown(model, p):
        with Streams(Generators(generators), model):
            return torch.multinomial(p, 1)

    with pytest.raises(RuntimeError, match="randomness"):
        vmap(unknown, randomness="error")(torch.arange(2), torch.rand(2, 3))

    def forgetful(model):
        with Streams(Generators(generators), model):
            noise = torch.zeros(3)
            noise.normal_()
            return noise + model

    assert vmap(forgetful, randomness="error")(torch.arange(2)).isnan().all()


# The script -------------------------------------------------------------------------------------

CONFIG = ROOT / "experiments" / "configs" / "digits.yaml"


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(script, tmp_path_factory):
    """Two seeds with two learning rates, W&B offline."""
    folder = tmp_path_factory.mktemp("many")
    flags = ["--config", CONFIG, "--seeds", 2, "--seed_everything", 5, "--name", "d"]
    flags += ["--vary", '{"lr": [1e-3, 3e-3]}', "--trainer.log_every_n_steps", 10]
    environment = {"VAE_RUNS_DIR": str(folder), "WANDB_MODE": "offline"}
    process = script("train_many.py", *flags, "--trainer.max_epochs", 3, **environment)
    assert process.code == 0 and process.err == "", process.err
    (group,) = folder.glob("*-d-x4-????????")
    return folder, group, process.out


def test_the_script_trains_what_train_py_trains_from_the_run_s_configuration(
    script, trained, tmp_path
):
    folder, _, _ = trained
    (run,) = folder.glob("*-d-lr0.003-seed6-????????")
    environment = {"VAE_RUNS_DIR": str(tmp_path), "WANDB_MODE": "disabled"}
    process = script("train.py", "fit", "--config", run / "config.yaml", **environment)
    assert process.code == 0, process.err
    (single,) = tmp_path.iterdir()
    for kind in ("best", "last"):
        (a, contents, _), (b, expected, _) = (
            load(path / "checkpoints" / f"{kind}.ckpt") for path in (run, single)
        )
        assert distance(a, b) < 1e-3  # float32; two products may round differently
        for key in ("epoch", "global_step"):
            assert contents[key] == expected[key]
        assert contents["vae"].items() <= expected["vae"].items()
    for row, other in zip(rows(run), rows(single), strict=True):
        row.pop("time"), other.pop("time")
        assert row == pytest.approx(other, abs=0.01)
    results, alone = (json.loads((p / "results.json").read_text()) for p in (run, single))
    assert results.pop("metrics") == pytest.approx(alone.pop("metrics"), abs=0.01)
    assert results | UNTIMED == alone | UNTIMED | {"diverged": False}


def test_each_model_has_a_run_of_its_own_and_the_group_a_summary(trained):
    folder, group, out = trained
    runs = {p.name.rsplit("-", 1)[0].split("-", 2)[2]: p for p in folder.iterdir() if p != group}
    assert set(runs) == {f"d-lr{lr}-seed{seed}" for lr in (0.001, 0.003) for seed in (5, 6)}
    for name, run in runs.items():
        record = json.loads((run / "run.json").read_text())
        assert record["id"] == run.name and record["together"] == 4
        assert record["seed"] == int(name[-1])
        (file,) = run.glob("wandb/offline-run-*/*.wandb")
        page = wandb_offline.read(file)
        assert page.id == run.name and page.exit_code == 0
        assert page.config["seed_everything"] == record["seed"]
        assert page.config["model"]["init_args"]["lr"] == float(name[4:9])
        logged = [{k: v for k, v in row.items() if k != "time"} for row in rows(run)]
        assert len(page.history) == len(logged)
        for row, expected in zip(page.history, logged, strict=True):
            assert row["trainer/global_step"] == expected.pop("step")
            assert {key: row[key] for key in expected} == pytest.approx(expected)
    size = (runs["d-lr0.001-seed5"] / "checkpoints" / "last.ckpt").stat().st_size
    assert size < 150_000  # 19,792 parameters, not those of all four
    summary = json.loads((group / "summary.json").read_text())
    assert summary["seeds"] == [5, 6] and summary["models"] == 4
    slow, fast = (summary["variants"][f"lr {lr}"]["test/elbo"] for lr in (0.001, 0.003))
    found = [json.loads((runs[f"d-lr0.003-seed{s}"] / "results.json").read_text()) for s in (5, 6)]
    assert fast["values"] == [r["metrics"]["test/elbo"] for r in found]
    assert fast["mean"] == pytest.approx(sum(fast["values"]) / 2, abs=1e-3)
    assert fast["se"] == pytest.approx(abs(fast["values"][0] - fast["values"][1]) / 2, abs=1e-3)
    gap = sum(fast["values"]) / 2 - sum(slow["values"]) / 2
    assert fast["difference"]["mean"] == pytest.approx(gap, abs=1e-3)
    assert "±" in out and str(group) in out


def test_the_other_scripts_read_its_checkpoints(script, trained, tmp_path):
    (run,) = trained[0].glob("*-d-lr0.001-seed5-????????")
    for arguments in (
        ["reconstruct.py", run, "--output", tmp_path / "r.png"],
        ["sample.py", run, "--output", tmp_path / "s.png"],
        ["evaluate.py", run, "--limit", 20],
        ["gradients.py", run, "--images", 1, "--replicates", 9, "--reference_replicates", 20]
        + ["--estimators", '["pathwise", "rloo"]'],
    ):
        process = script(*arguments)
        assert process.code == 0, process.err


def test_a_model_that_diverges_is_named_and_is_in_no_mean(script, tmp_path):
    flags = ["--config", CONFIG, "--seeds", 2, "--vary", '{"lr": [1e-3, 1e20]}']
    flags += ["--trainer.max_steps", 8, "--trainer.log_every_n_steps", 2, "--name", "d"]
    environment = {"VAE_RUNS_DIR": str(tmp_path), "WANDB_MODE": "disabled"}
    process = script("train_many.py", *flags, **environment)
    assert process.code == 0, process.err
    (group,) = tmp_path.glob("*-d-x4-????????")
    good, bad = json.loads((group / "summary.json").read_text())["variants"].values()
    assert math.isfinite(good["test/elbo"]["se"])
    assert bad["test/elbo"] == {"values": [None, None]}
    assert f"2 diverged, and are in no mean: {bad['runs'][0]}" in " ".join(process.out.split())


@pytest.mark.parametrize(
    "flags, line",
    [
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--config", CONFIG, "--seeds", "0"], "seeds"),
        (["--config", CONFIG, "--vary", '{"hidden": [8, 16]}'], "vary hidden"),
        (["--config", CONFIG, "--vary", '{"lr": [0.001, -1]}'], "learning rates must be positive"),
        (["--config", CONFIG, "--vary", '{"temperature": [0.5]}'], "temperature"),
        (["--config", CONFIG, "--ckpt_path", CONFIG], "cannot be read as a checkpoint"),
        (["--config", CONFIG, "--trainer.precision", "16-mixed"], "one loss scale"),
        (
            ["--config", CONFIG, "--model", "ContinuousVAE", "--model.latent", "beta"],
            "BetaLatent cannot be trained many at once",
        ),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(flags, line, monkeypatch, tmp_path, capsys):
    from vae.cli import train_many

    monkeypatch.setattr(sys, "argv", ["train_many.py", "fit", *map(str, flags)])
    with pytest.raises(SystemExit) as error, one_line_errors():
        train_many.ManyCLI()
    text = capsys.readouterr().err
    assert error.value.code == 2 and text.startswith("error: ") and text.count("\n") == 1
    assert line in text and not list(tmp_path.iterdir())
