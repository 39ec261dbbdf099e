"""Small models on small images, trained in seconds: what several test files share."""

import json

from lightning.pytorch import Trainer

from vae.data.digits import DigitsDataModule
from vae.run.metrics import JSONLLogger
from vae.training.presets import DiscreteVAE, GaussianVAE

SMALL = {"image_shape": (1, 8, 8), "hidden": [16], "test_samples": 4}
ONE_HOT = {"num_variables": 3, "num_categories": 4}

MODULES = {
    "gaussian": lambda: GaussianVAE(latent_dim=3, **SMALL),
    "gaussian-reinforce": lambda: GaussianVAE(
        latent_dim=3, estimator="nvil", kl="monte_carlo", **SMALL
    ),
    "gaussian-iwae": lambda: GaussianVAE(latent_dim=3, objective="iwae", num_samples=3, **SMALL),
    "gaussian-conv": lambda: GaussianVAE(latent_dim=3, network="conv", **SMALL),
    "gumbel": lambda: DiscreteVAE(**ONE_HOT, **SMALL),
    "st-gumbel-binary": lambda: DiscreteVAE(
        latent="binary", num_variables=6, estimator="st_gumbel", **SMALL
    ),
    "rloo": lambda: DiscreteVAE(**ONE_HOT, estimator="rloo", num_samples=2, **SMALL),
    "vimco": lambda: DiscreteVAE(
        **ONE_HOT, estimator="vimco", objective="iwae", num_samples=2, **SMALL
    ),
    "enumerate": lambda: DiscreteVAE(**ONE_HOT, estimator="enumerate", **SMALL),
    "concrete": lambda: DiscreteVAE(**ONE_HOT, kl="relaxed", learned_prior=True, **SMALL),
}


def fit(module, run, steps=40, log_every=5, steps_per_batch=1, ckpt_path=None, **options):
    data = DigitsDataModule(steps_per_batch=steps_per_batch)
    defaults = {"enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = Trainer(
        max_steps=steps,
        logger=JSONLLogger(run),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=log_every,
        **defaults | options,
    )
    trainer.fit(module, data, ckpt_path=ckpt_path)
    return trainer


def logged(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
