"""What people get wrong: one clear line, exit code 2, no traceback, nothing written."""

import errno
import json
import os
import subprocess
import sys

import pytest
import torch
from bad_files import ROOT, TRAIN, make_files
from bad_input import ENVIRONMENT, RESULTS, command, markdown, run

from vae.run.checkpoint import load

DIGITS = "--config experiments/configs/digits.yaml"
MNIST = "train.py fit --config experiments/configs/gaussian.yaml"
CONFIGURATION = {
    "unknown key": (
        f"{TRAIN} --modell.lr 1",
        "unrecognized arguments: --modell.lr 1 (--help lists the options)",
    ),
    "unknown key in a file": (
        "train.py fit --config unknown-key.yaml",
        "no option is called modell",
    ),
    "unknown option": (
        f"{TRAIN} --model.init_args.nope 1",
        "the chosen class has no option nope: --model.help CLASS",
    ),
    "wrong type": (f"{TRAIN} --model.lr fast", "lr: expected float, got fast"),
    "wrong type in a file": ("train.py fit --config wrong-type.yaml", "expected float, got fast"),
    "wrong type of an option": (f"{TRAIN} --trainer.max_epochs a", "expected int, got a"),
    "wrong type in a list": (f"{TRAIN} --model.hidden [a]", "hidden: expected int, got a"),
    "no list": (f"{TRAIN} --tags 3", "tags: expected a list, as [a, b], got 3"),
    "no YAML": ("train.py fit --config no-yaml.yaml", "no-yaml.yaml is not YAML"),
    "an empty configuration": ("train.py fit --config empty.yaml", "holds no configuration"),
    "YAML that would run code": ("train.py fit --config code.yaml", "code.yaml is not YAML"),
    "a configuration in no UTF-8": (
        "train.py fit --config run/checkpoints/last.ckpt",
        "not text in UTF-8",
    ),
    "no such configuration": (f"{TRAIN} --config nope.yaml", "File does not exist: '"),
    "a folder for a configuration": (f"{TRAIN} --config run", "config run is no file"),
    "no such model": (f"{TRAIN} --model FooVAE", "model: no class of this kind is called FooVAE"),
    "a model of another kind": ("train.py fit --config other-class.yaml", "torch.nn.Linear"),
    "no such data": (f"{TRAIN} --data FooData", "data: no class of this kind is called FooData"),
    "misspelt key": (
        f"{TRAIN} --trainer.max_epocs 1",
        "--trainer.max_epocs 1 (did you mean --trainer.max_epochs?)",
    ),
    "key without its part": (
        f"{TRAIN} --max_epochs 1",
        "--max_epochs 1 (did you mean --trainer.max_epochs?)",
    ),
    "misspelt estimator": (
        f"{TRAIN} --model.estimator reinfroce",
        "unknown estimator 'reinfroce' (did you mean reinforce?): choose from",
    ),
    "misspelt config": (
        "train.py fit --config digist",
        "none of the package's (did you mean digits?)",
    ),
    "unknown estimator": (f"{TRAIN} --model.estimator foo", "unknown estimator 'foo': choose"),
    "estimator that does not fit": (f"{TRAIN} --model.estimator st_gumbel", "StraightThrough"),
    "enumeration of a continuum": (f"{TRAIN} --model.estimator enumerate", "Enumerate"),
    "leave-one-out with K = 1": (f"{TRAIN} --model.estimator rloo", "needs num_samples >= 2"),
    "batch size 0": (f"{TRAIN} --data.batch_size 0", "batch sizes must be at least 1"),
    "K = 0": (f"{TRAIN} --model.num_samples 0", "num_samples must be at least 1"),
    "temperature 0": (
        f"{TRAIN} --model DiscreteVAE --model.temperature 0",
        "temperatures must satisfy 0 <",
    ),
    "unknown binarisation": (f"{TRAIN} --data.binarization grey", "one of 'dynamic'"),
    "no latent variables": (f"{TRAIN} --model.latent_dim 0", "latent_dim must be at least 1"),
    "more than there is memory": (f"{TRAIN} --model.latent_dim 1000000000000", "out of memory"),
    "a negative step size": (f"{TRAIN} --model.lr -1", "learning rates must be positive"),
    "negative epochs": (f"{TRAIN} --trainer.max_epochs -3", "max_epochs"),
    "validation every 0 epochs": (f"{TRAIN} --trainer.check_val_every_n_epoch 0", "at least 1"),
    "validation after the epoch": (
        f"{TRAIN} --trainer.val_check_interval 1000",
        "more than the 21 steps of an epoch",
    ),
    "validation every 0 steps": (f"{TRAIN} --trainer.val_check_interval 0", "must be positive"),
    "validation inside a group": (
        f"{TRAIN} --trainer.val_check_interval 7",
        "no multiple of data.steps_per_batch 50",
    ),
    "validation across uneven epochs": (
        f"{TRAIN} --trainer.val_check_interval 50 --trainer.check_val_every_n_epoch null",
        "epochs of 21 steps: data.steps_per_batch 50 does not divide these",
    ),
    "no batch to train on": (
        f"{TRAIN} --trainer.limit_train_batches 0.01",
        "limit_train_batches 0.01 is less than one of the 21 batches",
    ),
    "no batch to test on": (f"{TRAIN} --trainer.limit_test_batches 0.1", "limit_test_batches 0.1"),
    "no batch of the training data": (
        f"{TRAIN} --trainer.limit_train_batches 0",
        "limit_train_batches 0 trains nothing: give at least 1",
    ),
    "no epochs": (f"{TRAIN} --trainer.max_epochs 0", "max_epochs 0 trains nothing"),
    "no steps": (f"{TRAIN} --trainer.max_steps 0", "max_steps 0 trains nothing"),
    "no time": (f"{TRAIN} --trainer.max_time 00:00:00:00", "max_time 00:00:00:00 trains nothing"),
    "less than no time": (
        f"""{TRAIN} --trainer.max_time '{{"seconds":-5}}'""",
        "trains nothing: give more",
    ),
    "at least more steps than at most": (
        f"{TRAIN} --trainer.min_steps 9 --trainer.max_steps 5",
        "min_steps 9 is more than max_steps 5",
    ),
    "at least a negative number of steps": (
        f"{TRAIN} --trainer.min_steps -4",
        "min_steps must not be negative, got -4",
    ),
    "validation every -1 epochs": (
        f"{TRAIN} --trainer.check_val_every_n_epoch -1",
        "check_val_every_n_epoch must be at least 1",
    ),
    "an early stop by what is not logged": (
        f"{TRAIN} --trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping"
        " --trainer.callbacks.monitor val_loss",
        "EarlyStopping watches val_loss: it can watch one of val/elbo, val/rate",
    ),
    "an early stop without validation": (
        f"{TRAIN} --trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping"
        " --trainer.callbacks.monitor val/elbo --trainer.limit_val_batches 0",
        "it can watch nothing, without validation",
    ),
    "a checkpoint by what is not logged": (
        f"{TRAIN} --trainer.callbacks+=lightning.pytorch.callbacks.ModelCheckpoint"
        " --trainer.callbacks.monitor val_loss",
        "ModelCheckpoint watches val_loss",
    ),
    "nodes that nobody started": (f"{TRAIN} --trainer.num_nodes 2", "nobody has started"),
    "a name in other letters": (f"{TRAIN} --name naïve", "unaccented letters"),
    "many at once: no epochs": (
        f"train_many.py {DIGITS} --trainer.max_epochs 0",
        "max_epochs 0 trains nothing",
    ),
    "an infinite weight": (f"{TRAIN} --model.beta .inf", "beta must be finite"),
    "the data's seed": (
        f"{TRAIN} --data.seed 5",
        "data.seed is set by seed_everything: leave it out",
    ),
    "the data's seed in a file": (
        "train.py fit --config linked.yaml",
        "data.seed is set by seed_everything",
    ),
    "the images' shape": (
        f"{TRAIN} --model.image_shape [1,2,3]",
        "image_shape is set by the data: leave it out",
    ),
    "a finder of step sizes": (
        f"{TRAIN} --trainer.callbacks lightning.pytorch.callbacks.LearningRateFinder",
        "a finder of step or batch sizes is not supported",
    ),
    "another's way of clipping": (
        f"{TRAIN} --trainer.gradient_clip_algorithm value",
        "gradient_clip_algorithm is the trainer's",
    ),
    "many at once, unlogged": (
        f"train_many.py {DIGITS} --trainer.logger false",
        "trainer.logger is not for many models at once",
    ),
    "many at once, continued": (
        f"train_many.py {DIGITS} --ckpt_path run",
        "last.ckpt holds one model, not many",
    ),
    "many at once, inside a group": (
        f"train_many.py {DIGITS} --trainer.val_check_interval 7",
        "no multiple of data.steps_per_batch 50",
    ),
    "many at once, on several devices": (
        f"train_many.py {DIGITS} --trainer.accelerator cpu --trainer.devices 2",
        "many models at once take one device",
    ),
    "many at once, for an agent": (
        f"WANDB_SWEEP_ID=x train_many.py {DIGITS}",
        "a sweep's agent asks for one model at a time",
    ),
    "checkpoints every 0 steps": (f"{TRAIN} --checkpoint_every_n_steps 0", "must be positive"),
    "a CUDA graph without CUDA": (f"{TRAIN} --model.capture true", "for one CUDA device in 32-"),
    "an option without a value": (f"{TRAIN} --image_every null", "expected int, got None"),
    "compiled, many at once": (
        f"train_many.py {DIGITS} --model.compile true",
        "model.init_args.compile is not for many models at once",
    ),
    "negative image_every": (f"{TRAIN} --image_every -1", "image_every must not be negative"),
    "a seed that is no number": (f"{TRAIN} --seed_everything true", "seed_everything takes"),
    "a negative seed": (f"{TRAIN} --seed_everything -1", "-1 is not in bounds"),
    "true half precision": (f"{TRAIN} --trainer.precision bf16-true", "bf16-mixed"),
    "another's clipping": (f"{TRAIN} --trainer.gradient_clip_val 1", "gradient_clip_norm"),
    "accumulation": (f"{TRAIN} --trainer.accumulate_grad_batches 2", "use a larger batch_size"),
    "a name that is a path": (f"{TRAIN} --name a/b", "letters, digits"),
    "no such accelerator": (f"{TRAIN} --trainer.accelerator abacus", "abacus"),
    "more processes than processors": (
        f"{TRAIN} --trainer.accelerator cpu --trainer.devices 99999",
        "use fewer",
    ),
    "a negative number of devices": (
        f"{TRAIN} --trainer.accelerator cpu --trainer.devices -7",
        "should be an int > 0",
    ),
    "no such W&B mode": (f"WANDB_MODE=loud {TRAIN}", "WANDB_MODE=loud: choose from"),
    "W&B online, logged out": (f"WANDB_MODE=online {TRAIN}", "wandb login"),
    "nothing said": ("train.py", 'expected "subcommand"'),
    "nothing to train": ("train.py fit", "required: fit.data, fit.model"),
    "no such command": ("train.py nonsense", "choose from 'fit'"),
    "an empty checkpoint": (f"{TRAIN} --ckpt_path ''", "--ckpt_path is empty"),
    "an empty name": (f"{TRAIN} --name=", "--name is empty"),
    "an empty name in a file": ("train.py fit --config empty-name.yaml", "name is empty"),
    "an empty configuration's name": (f"{TRAIN} --config ''", "--config is empty"),
    "minutes that are no number": (
        f"{TRAIN} --checkpoint_every_n_minutes .nan",
        "checkpoint_every_n_minutes must be finite, got nan",
    ),
    "minutes without end": (f"{TRAIN} --checkpoint_every_n_minutes .inf", "must be finite"),
    "a norm without end": (f"{TRAIN} --model.gradient_clip_norm .inf", "must be finite, got inf"),
    "a step size that is no number": (f"{TRAIN} --model.lr .nan", "model.lr must be finite"),
    "a part that is no number": (f"{TRAIN} --trainer.limit_val_batches .nan", "must be finite"),
    "an option of an estimator that is no number": (
        f"{TRAIN} --model DiscreteVAE --model.estimator gst --model.estimator_options.gap .nan",
        "estimator_options.gap must be finite, got nan",
    ),
    "a seed of 23 digits": (f"{TRAIN} --seed_everything {10**22}", "is too large: give at most"),
    "more latents than integers": (f"{TRAIN} --model.latent_dim {10**19}", "is too large"),
    "more latents than a tensor holds": (
        f"{TRAIN} --model.latent_dim {10**18}",
        "a layer is larger than a tensor can be",
    ),
    "batches of 22 digits": (f"{TRAIN} --data.batch_size {10**21}", "is too large"),
    "epochs of 31 digits": (f"{TRAIN} --trainer.max_epochs {10**30}", "is too large"),
    "widths of ten million": (f"{TRAIN} --model.hidden [10000000,100000]", "out of memory: the"),
    "samples of nine digits": (f"{TRAIN} --model.num_samples 1000000000", "out of memory: a step"),
    "samples that a batch does not hold": (
        f"{TRAIN} --model.num_samples 10000000",
        "out of memory: a step of 64 images and 10000000 samples",
    ),
    "a test of weeks": (
        f"{TRAIN} --model.test_samples 1000000000",
        "would take weeks; give at most 40000000",
    ),
    "aliases of aliases": ("train.py fit --config bomb.yaml", "with its aliases written out it"),
    "an alias of itself": ("train.py fit --config self.yaml", "with its aliases written out it"),
    "aliases of aliases for a model": (f"{TRAIN} --model bomb.yaml", "with its aliases written"),
    "a key twice": ("train.py fit --config twice.yaml", "the key name is there twice at line 4"),
    "a thousand levels": ("train.py fit --config deep.yaml", "is deeper than 30 levels"),
    "a pipe for a configuration": ("train.py fit --config pipe", "pipe is a pipe, a device or a"),
    "a device for a configuration": ("train.py fit --config zero", "a device or a socket"),
    "a pipe for the data's options": (f"{TRAIN} --data pipe", "pipe is a pipe, a device or a"),
    "no hidden layers at all": (f"{TRAIN} --model.hidden null", "model.hidden is empty: give it"),
    "no batch size": (f"{TRAIN} --data.batch_size null", "batch_size"),
    "an estimator's option of another type": (
        f"{TRAIN} --model DiscreteVAE --model.estimator gumbel_rao"
        " --model.estimator_options.num_inner a",
        "estimator gumbel_rao: num_inner must be int, got 'a'",
    ),
    "an estimator's option, no whole number": (
        f"{TRAIN} --model DiscreteVAE --model.estimator gumbel_rao"
        " --model.estimator_options.num_inner 1.5",
        "num_inner must be int, got 1.5",
    ),
    "an estimator's option, negative": (
        f"{TRAIN} --model.estimator nvil --model.estimator_options.hidden -1",
        "hidden must be at least 1, got -1",
    ),
    "a latent's option of another type": (
        f"{TRAIN} --model ContinuousVAE --model.latent_options.num_variables a",
        "latent gamma: num_variables must be int, got 'a'",
    ),
    "a Gaussian on binary pixels": (
        f"{TRAIN} --model.likelihood gaussian",
        "likelihood Gaussian is a density, unbounded on binary pixels (binarization dynamic)",
    ),
    "a continuous Bernoulli on binary pixels": (
        f"{TRAIN} --model.likelihood continuous_bernoulli --data.binarization static",
        "likelihood ContinuousBernoulli is a density, unbounded on binary pixels",
    ),
    "logging every -5 steps": (f"{TRAIN} --trainer.log_every_n_steps -5", "must not be negative"),
    "at least more than at most": (
        f"{TRAIN} --trainer.min_epochs 5 --trainer.max_epochs 2",
        "min_epochs 5 is more than max_epochs 2",
    ),
    "many at once: a million million": (
        f"train_many.py {DIGITS} --seeds 1000000000000",
        "seeds must be at most 10000",
    ),
    "many at once: more than there is memory": (
        f"train_many.py {DIGITS} --seeds 10000 --model.hidden [10000]",
        "out of memory: the model",
    ),
    "a folder of runs that is a file": (f"VAE_RUNS_DIR=text.ckpt {TRAIN}", "set VAE_RUNS_DIR"),
}
CHECKPOINTS = {
    "none yet": ("curves.py", "train one first"),
    "the repository's, without its data": ("reconstruct.py", "MNIST is not in none/MNIST/raw"),
    "the repository's, replayed": ("replay.py gaussian", "without the state of a run"),
    "the repository's, resumed": (
        "resume.py gaussian",
        "gaussian comes trained, as weights alone",
    ),
    "the repository's, trained on": (
        f"{TRAIN} --ckpt_path gaussian",
        "gaussian comes trained, as weights alone",
    ),
    "not there": ("sample.py nope.ckpt", "no checkpoint at nope.ckpt"),
    "a folder that is none": ("sample.py data", "data holds no checkpoints/best.ckpt"),
    "of zero bytes": ("sample.py empty.ckpt", "empty.ckpt cannot be read as a checkpoint (it is"),
    "truncated": ("sample.py truncated.ckpt", "truncated.ckpt cannot be read as a checkpoint"),
    "one bit flipped": ("evaluate.py flipped.ckpt", "bad checksum of"),
    "a text": ("gradients.py text.ckpt", "truncated, damaged or of another kind"),
    "that would run code": ("sample.py code.ckpt", "open, and would run it"),
    "a pickle that would run code": (
        "reconstruct.py code-unpacked.ckpt",
        "open, and would run it",
    ),
    "unreadable disk": ("sample.py unreadable.ckpt", "cannot be read: Input/output error"),
    "of another library": ("sample.py foreign.ckpt", "is not a checkpoint of a VAE"),
    "of another class": (
        "sample.py other-class.ckpt",
        "names vae.NormalizingFlow, which is not there",
    ),
    "of another version, an option": ("sample.py other-version.ckpt", "does not fit this version"),
    "of another version, layers": ("sample.py other-layers.ckpt", "it lacks vae.likelihood"),
    "of another version, shapes": (
        "evaluate.py other-shapes.ckpt",
        "has the shape (3,), not (128,)",
    ),
    "options that are none": ("sample.py options-no-mapping.ckpt", "names no class for its model"),
    "of unknown data": (
        "evaluate.py other-data.ckpt",
        "names vae.SVHNDataModule, which is not there",
    ),
    "of impossible data": ("reconstruct.py bad-data.ckpt", "batch sizes must be at least 1"),
    "continued: nothing there": (f"{TRAIN} --ckpt_path last", "no checkpoint at last"),
    "continued: a text": (f"{TRAIN} --ckpt_path text.ckpt", "cannot be read"),
    "continued: code": (f"{TRAIN} --ckpt_path code.ckpt", "open, and would run it"),
    "continued: another class": (
        f"{TRAIN} --ckpt_path run --model DiscreteVAE",
        "holds a GaussianVAE, not a DiscreteVAE",
    ),
    "continued: another option": (
        f"{TRAIN} --ckpt_path run --model.latent_dim 3",
        "was trained with latent_dim 8, not 3",
    ),
    "continued: other data": (
        "resume.py run --data MNISTDataModule",
        "was trained on DigitsDataModule, not on MNISTDataModule",
    ),
    "continued: another binarisation": (
        "resume.py run --data.binarization none",
        "was trained with binarization dynamic, not none",
    ),
    "continued: another seed": (
        "resume.py run --seed_everything 7",
        "was trained with seed 0, not 7",
    ),
    "continued: to before its end": (
        "resume.py run --trainer.max_epochs 0",
        "max_epochs 0 is less than what run/checkpoints/last.ckpt has done (1)",
    ),
    "continued: of nowhere": (
        f"{TRAIN} --model.test_samples 2 --ckpt_path no-loops.ckpt",
        "does not say where its run",
    ),
    "continued: another version": (f"{TRAIN} --ckpt_path other-layers.ckpt", "it lacks vae."),
    "continued: a model only": (f"{TRAIN} --ckpt_path model-only.ckpt", "not the state of a run"),
    "continued: rows of metrics that are none": ("resume.py rows", "holds no number of rows that"),
    "continued: a validation that is none": ("resume.py validated", "holds no validation that a"),
    "continued: random numbers that are none": ("resume.py random", "holds no random state that"),
    "continued: no optimiser": ("resume.py optimiser", "holds no optimiser that a run can go on"),
    "continued: steps below 0": ("resume.py steps", "holds no number of steps that a run can go"),
    "continued: of epochs without end": ("resume.py endless", "does not say where its run was"),
    "resumed: another's checkpoint": (
        "resume.py run --ckpt_path listed",
        "--ckpt_path is the run",
    ),
    "resumed: no run": ("resume.py nowhere", "nowhere is no folder"),
    "resumed: nothing trained yet": ("resume.py fresh", "nothing was trained there yet"),
    "resumed: all damaged": ("resume.py damaged", "last-previous.ckpt cannot be read"),
    "resumed: other batches": (
        "resume.py run --data.batch_size 10",
        "was trained with batch_size 64, not 10",
    ),
    "resumed: unknown key": ("resume.py run --modell.lr 3", "unrecognized arguments"),
    "continued: in fewer bits": (
        "resume.py run --trainer.precision bf16-mixed",
        "trainer.precision was None in run/config.yaml, not bf16-mixed: that would be another run",
    ),
    "continued: on a part of the batches": (
        "resume.py run --trainer.limit_train_batches 5",
        "trainer.limit_train_batches was None in run/config.yaml, not 5",
    ),
    "continued: judged on a part": (
        "resume.py run --trainer.limit_val_batches 1",
        "limit_val_batches was None in run/config.yaml, not 1",
    ),
    "continued: on more devices": ("resume.py run --trainer.devices 2", "devices was 1 in run/"),
    "continued: in other products": (
        "resume.py run --float32_matmul_precision medium",
        "float32_matmul_precision was highest in run/config.yaml, not medium",
    ),
    "continued: under another name": ("resume.py run --name other", "name was digits in run/"),
    "continued: a wrapped module": (
        f"{TRAIN} --model.test_samples 2 --ckpt_path wrapped.ckpt",
        "holds the weights of a wrapped module",
    ),
    "continued: a run of no record": ("resume.py listed", "run.json holds no JSON object"),
    "a pipe": ("sample.py pipe", "pipe is a pipe, a device or a socket"),
    "a folder, of pipes": ("sample.py piped", "is a pipe, a device or a socket"),
    "an empty word": ("sample.py ''", "an argument is empty: give it a value, or leave it out"),
    "compressed": ("sample.py compressed.ckpt", "it is compressed, which torch's own never are"),
    "larger than its weights": ("sample.py inflated.ckpt", "has the shape (128, 64), not (100000"),
    "weights of one number": ("sample.py expanded.ckpt", "holds fewer numbers than its shape"),
    "samples without end": ("sample.py sampled.ckpt", "out of memory: a step of 64 images"),
    "replayed: a model only": ("replay.py model-only.ckpt", "not the state of a run"),
}
DATA = {
    "MNIST is not there": (MNIST, "set VAE_DATA_DIR to a folder that holds MNIST/raw"),
    "no training images": (
        "VAE_DATA_DIR=data/no-training-images prepare_data.py",
        "download failed",
    ),
    "an empty file": ("VAE_DATA_DIR=data/empty prepare_data.py", "it is empty"),
    "wrong magic number": (
        f"VAE_DATA_DIR=data/wrong-magic {MNIST}",
        "2049, not 2051: it holds labels",
    ),
    "a web page": ("VAE_DATA_DIR=data/something-else prepare_data.py", "it holds something else"),
    "wrong shape": ("VAE_DATA_DIR=data/wrong-shape prepare_data.py", "of shape (2, 3, 3)"),
    "cut short": (f"VAE_DATA_DIR=data/cut {MNIST}", "cut short or damaged"),
    "a pipe": ("VAE_DATA_DIR=data/pipe prepare_data.py", "is no regular file"),
    "in a file": ("VAE_DATA_DIR=text.ckpt prepare_data.py", "text.ckpt is no folder"),
    "wrong checksum": ("VAE_DATA_DIR=data/wrong-checksum prepare_data.py", "wrong checksum"),
    "no gzip": ("VAE_DATA_DIR=data/no-gzip prepare_data.py", "Not a gzipped file"),
    "gzip, cut short": (
        "VAE_DATA_DIR=data/cut-gzip prepare_data.py",
        "train-images-idx3-ubyte.gz is",
    ),
}
SCRIPTS = {
    "evaluate: no such split": (
        "evaluate.py run --split all",
        "one of 'train', 'val', 'test', got all",
    ),
    "evaluate: no images": ("evaluate.py run --limit 0", "must be at least 1"),
    "evaluate: K = 0": ("evaluate.py run --log_likelihood 0", "must be at least 1"),
    "evaluate: K no number": ("evaluate.py run --log_likelihood a", "expected int, got a"),
    "evaluate: no such device": ("evaluate.py run --device abacus", "device abacus is not there"),
    "evaluate: no such GPU": ("evaluate.py run --device cuda:99", "device cuda:99 is not there"),
    "evaluate: K for weeks": (
        "evaluate.py run --log_likelihood 1000000000",
        "would take weeks: give at most K = 40000000",
    ),
    "evaluate: more than there is memory": (
        "evaluate.py run --elbo_samples 1000000000",
        "out of memory: decoding 250000000000 codes",
    ),
    "evaluate: a seed of 23 digits": (f"evaluate.py run --seed {10**22}", "is too large"),
    "evaluate: a run whose record is a list": ("evaluate.py listed", "holds no JSON object"),
    "evaluate: onto a folder": (
        "evaluate.py run --output folder.json",
        "cannot write folder.json",
    ),
    "evaluate: onto a checkpoint": (
        "evaluate.py run --output run/checkpoints/best.ckpt",
        "best.ckpt is there, and no result to be replaced: name another file",
    ),
    "evaluate: onto a run's record": (
        "evaluate.py run --output run/run.json",
        "run.json is there, and no result to be replaced: name another file",
    ),
    "evaluate: a negative seed": (
        "evaluate.py run --seed -1",
        "seed must not be negative, got -1",
    ),
    "sample: a negative seed": ("sample.py run --seed -1", "seed must not be negative, got -1"),
    "reconstruct: no image format, in a new folder": (
        "reconstruct.py run --output new/x.foo",
        "unknown file extension: .foo; use .png",
    ),
    "gradients: onto a run's record": (
        "gradients.py run --output run/run",
        "no result to be repl",
    ),
    "gradients: estimates for weeks": (
        "gradients.py run --replicates 1000000000",
        "would take weeks: give fewer",
    ),
    "gradients: a warm-up of weeks": (
        "gradients.py run --warm_up_steps 1000000000000",
        "would take weeks: give fewer",
    ),
    "gradients: evaluations for weeks": (
        "gradients.py run --match_evaluations 1000000000",
        "would take weeks: give fewer",
    ),
    "gradients: more than there is memory": (
        "gradients.py run --num_samples 10000000 --chunk 10 --replicates 9"
        " --reference_replicates 20 --warm_up_steps 0",
        "out of memory: a chunk of 10 estimates",
    ),
    "policy_gradient: updates for weeks": (
        "policy_gradient.py --updates 1000000000000",
        "episodes would take weeks: give 100,000,000 at most",
    ),
    "policy_gradient: onto a run's record": (
        "policy_gradient.py --output run/run --updates 1",
        "no result to be replaced",
    ),
    "seeds: a name in other letters": (f"seeds.py {DIGITS} --name naïve", "unaccented letters"),
    "seeds: a name too long for its runs": (
        f"seeds.py {DIGITS} --name {'a' * 76}",
        "80 at most",
    ),
    "seeds: onto a configuration": (
        f"seeds.py {DIGITS} --output linked.yaml",
        "linked.yaml is there, and no result to be replaced",
    ),
    "encode: no images": ("encode.py run --limit 0", "images and batches must be at least 1"),
    "encode: no such split": ("encode.py run --split all", "split: expected one of"),
    "encode: no npz": ("encode.py run --output codes.csv", "does not end in .npz"),
    "encode: below a file": ("encode.py run --output text.ckpt/x.npz", "cannot write"),
    "encode: more than there is memory": (
        "encode.py run --batch_size 1000000000000",
        "out of memory",
    ),
    "reconstruct: no images": ("reconstruct.py run --count 0", "count must be at least 1"),
    "reconstruct: misspelt flag": (
        "reconstruct.py run --cuont 1",
        "--cuont 1 (did you mean --count?)",
    ),
    "gradients: misspelt estimator": (
        "gradients.py run --estimators [pathwyse]",
        "unknown estimator 'pathwyse' (did you mean pathwise?)",
    ),
    "reconstruct: unknown flag": ("reconstruct.py run --colour 1", "unrecognized arguments"),
    "reconstruct: onto a device": ("reconstruct.py run --output full.png", "a device or a socket"),
    "sample: more than there is memory": (
        "sample.py run --count 1000000000000",
        "out of memory",
    ),
    "sample: no image format": ("sample.py run --output x.foo", "unknown file extension: .foo"),
    "sample: below a file": (
        "sample.py run --output text.ckpt/x.png",
        "(Not a directory): name another place by --output",
    ),
    "interpolate: no picture's format": (
        "interpolate.py run --output new/x.tiff",
        "unknown file extension: .tiff; use .png or .pdf",
    ),
    "interpolate: one image too few": (
        "interpolate.py run --images [1,2,3]",
        "images takes numbers from 0 on, two a row, got [1, 2, 3]",
    ),
    "interpolate: an image that is not there": (
        "interpolate.py run --images [1,100000]",
        "images: there are 250 test images, numbered from 0 on",
    ),
    "interpolate: another family's way": (
        "interpolate.py run --way arc",
        "there is no way 'arc' through Independent(Normal, 1): choose from spherical, linear",
    ),
    "interpolate: too many steps": ("interpolate.py run --steps 1000", "steps must be 2 to 30"),
    "traverse: no such image": (
        "traverse.py run --image 250",
        "image: there are 250 test images, numbered from 0 on",
    ),
    "traverse: onto a checkpoint": (
        "traverse.py run --output run/checkpoints/best.ckpt",
        "unknown file extension: .ckpt; use .png or .pdf",
    ),
    "latent-map: a grid of many variables": (
        "latent_map.py run --method manifold",
        "method manifold is for two latent variables",
    ),
    "latent-map: too few codes": (
        "latent_map.py run --count 3",
        "t-SNE of 3 codes: give at least",
    ),
    "latent-map: below a file": (
        "latent_map.py run --output text.ckpt/x.png",
        "cannot write text.ckpt/x.png (Not a directory)",
    ),
    "code-usage: no categories": (
        "code_usage.py run",
        "Independent(Normal, 1) has no categories to count: code-usage is for one-hot and binary",
    ),
    "kl: no images": ("kl.py run --count 0", "count must be at least 1, got 0"),
    "kl: no such device": ("kl.py run --device abacus", "device abacus is not there: use cpu"),
    "explore: no web page's name": (
        "explore.py run --output run/checkpoints/best.ckpt",
        "unknown file extension: .ckpt; use .html",
    ),
    "explore: below a file": (
        "explore.py run --output text.ckpt/x.html",
        "cannot write text.ckpt/x.html",
    ),
    "explore: images of no split": (
        "explore.py run --images 0 --split val",
        "--images 0 takes none, and --data and --split would say which: drop them",
    ),
    "explore: how many images of none": (
        "explore.py run --images 0 --kl_images 5",
        "--images 0 takes none, and --kl_images would say how many",
    ),
    "explore: images that nothing reads": (
        "explore.py run --encoder false --images 3",
        "a page without its encoder has no images to choose from",
    ),
    "explore: more images than a page holds": (
        "explore.py run --images 1000",
        "images must be 0 to 100, got 1000",
    ),
    "playground: no web page's name": (
        "playground.py --output run/checkpoints/best.ckpt",
        "output is a web page, an .html, got run/checkpoints/best.ckpt",
    ),
    "playground: below a file": (
        "playground.py --output text.ckpt/x.html",
        "cannot write text.ckpt/x.html",
    ),
    "rate-distortion: not evaluated": (
        "rate_distortion.py run",
        "has no rate-distortion curve of test images yet: vae evaluate run/checkpoints/best.ckpt --rate_distortion makes it",
    ),
    "curves: no run": ("curves.py data", "data is no run's folder, and holds none with a metrics"),
    "curves: no such metric": (
        "curves.py run --metrics [val/loss]",
        "none of the runs has logged val/loss; they have",
    ),
    "curves: limits upside down": (
        "curves.py run --y_limits [1,0]",
        "y_limits takes a lower and a higher number, got [1.0, 0.0]",
    ),
    "report: no run": ("report.py data", "data is no run's folder, and holds none with a metrics"),
    "report: a checkpoint": (
        "report.py run/checkpoints/last.ckpt",
        "last.ckpt is a file: name a run's folder",
    ),
    "report: not a page": (
        "report.py run --output report.pdf",
        "must end in .html, got report.pdf",
    ),
    "gradients: unknown estimator": ("gradients.py run --estimators [foo]", "unknown estimator"),
    "gradients: no list": (
        "gradients.py run --estimators rloo",
        "expected a list, as [a, b], got rloo",
    ),
    "gradients: no such objective": ("gradients.py run --objective foo", "choose from elbo, iwae"),
    "gradients: one estimate": ("gradients.py run --replicates 1", "must be at least 4"),
    "gradients: more images than there are": (
        "gradients.py run --images 1000",
        "images must be at most 250",
    ),
    "gradients: no K that matches": (
        "gradients.py run --estimators [rloo] --match_evaluations 1",
        "no K gives 1 evaluations to rloo",
    ),
    "policy_gradient: no prior": ("policy_gradient.py --estimators [gdreg]", "needs a prior"),
    "policy_gradient: it diverges": (
        "policy_gradient.py --task pointmass --lr 1e30 --updates 8",
        "give a smaller lr",
    ),
    "gradients: no such device": ("gradients.py run --device abacus", "abacus is not there"),
    "gradients: does not fit": ("gradients.py run --estimators [arm]", "is not defined for"),
    "seeds: no configuration": ("seeds.py", "config"),
    "seeds: no such configuration": (
        "seeds.py --config nope.yaml",
        "no configuration at nope.yaml",
    ),
    "seeds: none": (f"seeds.py {DIGITS} --seeds 0", "seeds and jobs must be at least 1"),
    "seeds: a name that is a path": (f"seeds.py {DIGITS} --name a/b", "letters, digits"),
    "seeds: a name that is above": (f"seeds.py {DIGITS} --name ..", "letters, digits"),
    "seeds: a variant in the way": (
        f"""seeds.py {DIGITS} --variants '{{"summary":{{}}}}'""",
        "a variant cannot be called summary",
    ),
    "seeds: variants without flags": (
        f"seeds.py {DIGITS} --variants 3",
        "expected a mapping, got 3",
    ),
    "seeds: a million million": (f"seeds.py {DIGITS} --seeds 1000000000000", "at most 10000"),
    "seeds: a configuration that is none": ("seeds.py --config bomb.yaml", "its aliases written"),
    "seeds: a study that is none": ("seeds.py --study bomb.yaml", "its aliases written out"),
    "seeds: a record that is a list": (
        f"VAE_RUNS_DIR=studies seeds.py {DIGITS} --name listed",
        "digits.json holds no JSON object",
    ),
    "prepare_data: unknown flag": ("prepare_data.py --nonsense", "unrecognized arguments"),
    "tables: unknown flag": ("tables.py --nonsense", "unrecognized arguments"),
    "quickstart: unknown flag": ("quickstart.py --nonsense", "unrecognized arguments"),
    "clean_runs: nothing said": ("clean_runs.py --keep ''", "--keep is empty"),
    "policy_gradient: a step that is no number": (
        "policy_gradient.py --lr .nan",
        "lr must be finite, got nan",
    ),
    "seeds: no such study": ("seeds.py --study nope.yaml", "File does not exist"),
    "seeds: a record cut short": (
        f"VAE_RUNS_DIR=studies seeds.py {DIGITS} --name cut",
        "digits.json is not JSON: it was cut short",
    ),
    "policy_gradient: no such task": ("policy_gradient.py --task chess", "got chess"),
    "policy_gradient: no such estimator": ("policy_gradient.py --estimators [foo]", "unknown est"),
    "policy_gradient: no updates": ("policy_gradient.py --updates 0", "must be at least 1"),
    "policy_gradient: a negative step": (
        "policy_gradient.py --task pointmass --lr -1",
        "lr must be positive, got -1.0",
    ),
    "policy_gradient: no path": (
        "policy_gradient.py --task cartpole --estimators [pathwise]",
        "which has no rsample",
    ),
    "replay: no steps": ("replay.py run --steps 0", "steps must be at least 1"),
    "replay: nothing named": ("replay.py", "name a checkpoint or a run's folder"),
}
PARTS = {"": CONFIGURATION, "checkpoint: ": CHECKPOINTS, "data: ": DATA, " ": SCRIPTS}
CASES = {
    (part + name).strip(): case for part, cases in PARTS.items() for name, case in cases.items()
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("bad").resolve()
    make_files(path)
    return path


def state(folder):
    """Every file of a folder, and when it was last written."""
    return {path: os.lstat(path).st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.e2e
@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_one_clear_line_and_writes_nothing(case, folder):
    line, words = CASES[case]
    before = state(folder)
    code, _, err = run(line, folder)
    assert code == 2, err
    assert err.count("\n") == 1 and err.startswith("error: ") and "Traceback" not in err, err
    assert words in err, err
    assert len(err) < 600
    assert state(folder) == before


def test_there_are_cases_of_every_script_and_they_are_enough():
    scripts = {word for line, _ in CASES.values() for word in line.split() if word.endswith(".py")}
    names = "train evaluate reconstruct sample gradients seeds resume policy_gradient prepare_data train_many"
    names += " explore interpolate traverse latent_map code_usage kl rate_distortion curves report"
    assert scripts >= {f"{name}.py" for name in names.split()}
    assert len(CASES) == sum(map(len, PARTS.values())) >= 100


SILENT = sorted(p.name for p in (ROOT / "experiments").glob("*.py") if p.name != "shell.py")


@pytest.mark.parametrize("script", SILENT)
def test_help_acts_in_no_script(script, folder):
    before, pages = state(folder), state(ROOT / "experiments" / "results")
    code, out, err = run(f"{script} --help", folder)
    assert code in (0, None) and "usage: " in out and not err
    assert str(ROOT) not in "".join(out.split())  # as a default
    assert state(folder) == before and state(ROOT / "experiments" / "results") == pages


@pytest.mark.parametrize("flag", ["--trainer.max_epochs -1", "--trainer.log_every_n_steps 3"])
def test_what_may_differ_in_a_run_that_is_continued(flag, folder):
    before = state(folder)
    flags = f"--trainer.max_epochs 2 --trainer.enable_progress_bar false --image_every 5 {flag}"
    assert "it would train" in run(f"resume.py run {flags}", folder).err
    assert {p for p in state(folder) if "canary" in p.name} == set() and len(state(folder)) >= len(
        before
    )


@pytest.mark.parametrize("name", ["module", "compiled", "both"])
def test_weights_of_a_wrapped_module_are_read(name, folder):
    path = folder / f"{name}.ckpt"
    contents = torch.load(folder / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    wrap = {
        "module": lambda k: f"module.{k}",
        "compiled": lambda k: k.replace("vae.", "vae._orig_mod.", 1),
        "both": lambda k: f"module._orig_mod.{k}",
    }[name]
    weights = {wrap(k): v for k, v in contents["state_dict"].items()}
    torch.save(contents | {"state_dict": weights}, path)
    read = load(path)[0].state_dict()
    path.unlink()
    assert all(torch.equal(read[k], v) for k, v in contents["state_dict"].items())


def test_a_full_disk_is_one_line(folder, monkeypatch):
    monkeypatch.setattr("vae.run.folder.bytes", full, raising=False)
    code, _, err = run(f"WANDB_MODE=offline {TRAIN}", folder)
    assert code == 2 and err.startswith(
        "error: cannot write runs to runs (No space left on device): set VAE_RUNS_DIR "
    )


def full(size):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_name_is_no_longer_than_a_folder_can_be_called(folder):
    code, _, err = run(f"{TRAIN} --name {'a' * 300}", folder)
    assert code == 2 and "80 at most" in err and err.count("\n") == 1


def test_ctrl_c_is_one_line(folder, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("vae.cli.sample.load", interrupt)
    assert run("sample.py run", folder) == (130, "", "interrupted\n")


def test_results_are_written_before_they_are_shown(folder, monkeypatch):
    def gone(*args):
        raise BrokenPipeError

    monkeypatch.setattr("vae.cli.results.print_table", gone)
    limits = "--trainer.max_epochs 1 --model.test_samples 2 --image_every 0"
    run(f"VAE_RUNS_DIR=shown {TRAIN} {limits}", folder, train=True)
    (results,) = (folder / "shown").glob("*/results.json")
    assert json.loads(results.read_text())["metrics"]


@pytest.mark.parametrize("case", ["wrong type", "checkpoint: truncated", "data: wrong shape"])
@pytest.mark.parametrize("debug", ["--debug", "VAE_DEBUG=1"])
def test_debugging_keeps_the_traceback(case, debug, folder, monkeypatch):
    line = CASES[case][0]
    line = f"{line} {debug}" if debug.startswith("--") else f"{debug} {line}"
    code, _, err = run(line, folder)
    assert code == 1 and "Traceback (most recent call last)" in err, err


@pytest.mark.e2e
def test_an_interpreter_of_its_own_says_the_same(folder):
    line, _ = CASES["checkpoint: that would run code"]
    process = subprocess.run(
        command(line).replace("python ", f"{sys.executable} "),
        shell=True,
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
    )
    assert (process.returncode, process.stderr) == (2, run(line, folder).err)
    assert process.stdout == "" and not (folder / "canary").exists()


def test_labels_are_not_needed(mnist_dir, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train", "t10k"):
        (found,) = list((mnist_dir / "MNIST" / "raw").glob(f"{name}-images-idx3-ubyte*"))[:1]
        (raw / found.name).symlink_to(found)
    assert run(f"VAE_DATA_DIR={tmp_path} prepare_data.py", tmp_path).code == 0


def test_the_table_lists_exactly_these_cases():
    rows = json.loads(RESULTS.read_text())
    assert list(rows) == list(CASES), "run python experiments/bad_input.py"
    for case, (line, words) in CASES.items():
        assert rows[case]["command"] == command(line), case
        assert words in rows[case]["line"] and "/tmp" not in rows[case]["line"], case
    assert len(markdown().splitlines()) == 2 + len(CASES)


@pytest.mark.parametrize("script", ["train.py", "resume.py", "sample.py"])
@pytest.mark.parametrize(
    ("before", "message"),
    [
        ('rmdir "$PWD"', "the current folder was deleted: change to another (cd)"),
        ("ulimit -f 0", "no folder takes temporary files (is the disk full?): set TMPDIR"),
    ],
)
def test_what_torch_cannot_be_imported_without_is_one_line(before, message, script, tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    words = ["-c", f'{before} && exec "$@"', "sh", sys.executable]
    words.append(str(ROOT / "experiments" / script))
    done = subprocess.run(["sh", *words], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")


def test_a_damaged_record_is_known_before_an_evaluation(folder, monkeypatch):
    def computed(*args):
        raise AssertionError("it was computed first")

    monkeypatch.setattr("vae.evaluation.bounds.elbo_terms", computed)
    done = run("evaluate.py listed", folder)
    assert done.code == 2 and "holds no JSON object" in done.err
