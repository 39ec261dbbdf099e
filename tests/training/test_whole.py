"""A whole step as one graph gives the numbers of eager steps: parameters to 1e-4 after five steps,
in float64 to 1e-9. In these tests the graph runs without being compiled, but for one."""

import copy
import math

import pytest
import torch
from lightning.pytorch import Callback
from small import ONE_HOT, SMALL, fit
from subset_models import LAYERS, SUBSETS
from torch import nn
from torch.testing import assert_close

import vae.training.whole
from vae.certify.named import example
from vae.estimators import ESTIMATORS, ScoreFunction
from vae.run.folder import new_run
from vae.training.nonfinite import NonFiniteError
from vae.training.presets import ContinuousVAE, DiscreteVAE, GaussianVAE
from vae.training.step import GraphStep, Step
from vae.training.traced import Untraceable, trace
from vae.training.whole import WholeStep

THREE = {"num_variables": 3}
KINDS = {
    "gaussian": lambda **kw: GaussianVAE(latent_dim=3, **SMALL, **kw),
    "one_hot": lambda **kw: DiscreteVAE(**ONE_HOT, **SMALL, **kw),
    "binary": lambda **kw: DiscreteVAE(latent="binary", num_variables=6, **SMALL, **kw),
    "gamma": lambda **kw: ContinuousVAE(latent="gamma", latent_options=THREE, **SMALL, **kw),
    "von_mises": lambda **kw: ContinuousVAE(
        latent="von_mises", latent_options=THREE, **SMALL, **kw
    ),
    "poisson": lambda **kw: ContinuousVAE(latent="poisson", latent_options=THREE, **SMALL, **kw),
    **SUBSETS,
}
BOUNDS = {
    "elbo": {},
    "monte_carlo": {"kl": "monte_carlo", "num_samples": 3},
    "iwae": {"objective": "iwae", "num_samples": 3},
    "prior": {"objective": "iwae", "num_samples": 3, "learned_prior": True},
}
EAGER = {
    "von_mises": "drawn by rejection, until none is left",
}
"""Families whose step is not one graph, and why."""


def first_case(name):
    """The first family and bound that an estimator is defined for."""
    for options in BOUNDS.values():
        for make in (KINDS | LAYERS).values():
            try:
                make(estimator=name, **options)
            except (NotImplementedError, ValueError):
                continue
            return make, options
    raise AssertionError(f"no model for {name}")


@pytest.fixture
def interpreted(monkeypatch):
    """Runs graphs as they were traced."""
    monkeypatch.setattr(vae.training.whole, "compiled", lambda graph: torch.no_grad()(graph))


def batches(dtype=torch.float32):
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(5, 9, 1, 8, 8, generator=generator).lt(0.4).to(dtype)
    return [*images[:4], images[4, :4]]  # the last one is smaller


def steps(make, module, optimizer=None, taken=batches):
    """The state after a step at each batch."""
    optimizer = optimizer or module.build_optimizer()
    step = make(module, optimizer)
    torch.manual_seed(1)
    for x in taken(next(module.parameters()).dtype):
        step(x)
    own = [v for p in module.parameters() for _, v in sorted(optimizer.state[p].items())]
    tensors = [*module.parameters(), *module.buffers(), *own, torch.get_rng_state()]
    return [t.detach().clone() for t in tensors], step


def pair(module):
    return module.train(), copy.deepcopy(module).train()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_is_one_graph_with_the_same_numbers(name, interpreted):
    make, options = first_case(name)
    torch.manual_seed(0)
    one, other = pair(make(estimator=name, **options).double())
    found, step = steps(WholeStep, one)
    expected, _ = steps(Step, other)
    assert step.instead is None
    assert_close(found, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_every_family_is_one_graph_or_says_why(kind, interpreted, capsys):
    torch.manual_seed(0)
    one, other = pair(KINDS[kind](num_samples=2))
    found, step = steps(WholeStep, one)
    assert (step.instead is not None) == (kind in EAGER)
    assert ("the step cannot be one graph, since" in capsys.readouterr().err) == (kind in EAGER)
    assert_close(found, steps(Step, other)[0], rtol=1e-4, atol=1e-4)


OPTIMIZERS = {
    "adam": lambda groups: torch.optim.Adam(groups, lr=3e-3),
    "amsgrad": lambda groups: torch.optim.Adam(groups, amsgrad=True, betas=(0.5, 0.9)),
    "decay": lambda groups: torch.optim.Adam(groups, weight_decay=0.1, eps=1e-3),
    "adamw": lambda groups: torch.optim.AdamW(groups, weight_decay=0.1, maximize=True),
    "without momentum": lambda groups: torch.optim.Adam(groups, betas=(0.0, 0.99)),
    "sgd": lambda groups: torch.optim.SGD([g | {"lr": 1e-5} for g in groups], momentum=0.9),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups),
    "adam of some": lambda groups: torch.optim.Adam(groups[:1]),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_gives_the_numbers_that_it_gives_alone(name, interpreted):
    torch.manual_seed(0)
    one, other = pair(
        KINDS["one_hot"](
            estimator="rebar", optimizer=OPTIMIZERS[name], estimator_lr=0.1, gradient_clip_norm=5.0
        ).double()
    )
    found, step = steps(WholeStep, one)
    assert (step.adam is None) == (name in ("sgd", "rmsprop", "adam of some"))
    assert_close(found, steps(Step, other)[0], rtol=1e-9, atol=1e-9)


def test_a_learning_rate_follows_its_schedule_and_each_group_has_its_own(interpreted):
    found = []
    for make in (WholeStep, Step):
        torch.manual_seed(0)
        module = KINDS["one_hot"](estimator="rebar", estimator_lr=0.1).double().train()
        optimizer = module.build_optimizer()
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        step = make(module, optimizer)
        torch.manual_seed(1)
        for x in batches(torch.float64)[:4]:
            step(x)
            schedule.step()
        found.append([p.detach().clone() for p in module.parameters()])
    assert_close(*found, rtol=1e-9, atol=1e-9)


def test_a_bad_step_changes_nothing_but_a_later_one_neither(interpreted):
    module = KINDS["one_hot"](estimator="reinforce_moving_average").train()
    optimizer = module.build_optimizer()
    step, (x, *_) = WholeStep(module, optimizer), batches()
    step(x)
    optimizer_state = [v for s in optimizer.state.values() for v in s.values()]
    tensors = [*module.parameters(), *module.buffers(), *optimizer_state]
    before = [t.detach().clone() for t in tensors]
    totals = []
    step(torch.full_like(x, math.nan), totals.append)
    step(x, totals.append)
    assert torch.stack(totals).isnan().all()
    assert all(torch.equal(*two) for two in zip(tensors, before, strict=True))


class Counts(ScoreFunction):
    """Keeps a number in Python, of which a graph would hold the first value."""

    calls = 0

    def estimate(self, q, f, objective, context):
        self.calls += 1
        return super().estimate(q, f, objective, context)


class Looks(ScoreFunction):
    def estimate(self, q, f, objective, context):
        estimate = super().estimate(q, f, objective, context)
        return estimate if estimate.bound.mean().item() < 0 else estimate._replace(auxiliary=1.0)


class Replaces(ScoreFunction):
    """Puts another tensor in a buffer's place, where a graph cannot follow."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.ones(()))

    def estimate(self, q, f, objective, context):
        estimate = super().estimate(q, f, objective, context)
        scaled = estimate.bound * self.weight
        self.weight = self.weight / 2
        return estimate._replace(bound=scaled)


class Drifts(ScoreFunction):
    """Keeps a number where nobody looks, and a buffer that is not finite."""

    def __init__(self):
        super().__init__()
        self._calls = 0
        self.register_buffer("least", torch.tensor(-math.inf))

    def estimate(self, q, f, objective, context):
        self._calls += 1
        estimate = super().estimate(q, f, objective, context)
        return estimate._replace(bound=estimate.bound * self._calls)


class Notes(ScoreFunction):
    """Has a list where there was nothing."""

    def __init__(self):
        super().__init__()
        self.noted = None

    def estimate(self, q, f, objective, context):
        self.noted = [q.batch_shape]
        return super().estimate(q, f, objective, context)


class Masks(ScoreFunction):
    """Has buffers of which there is no difference."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("least", torch.tensor([-math.inf, 0.0]))


def test_a_mask_is_no_reason_against_a_graph(interpreted):
    torch.manual_seed(0)
    one, other = pair(KINDS["one_hot"](estimator=Masks(), kl="monte_carlo").double())
    found, step = steps(WholeStep, one)
    assert step.instead is None
    assert_close(found, steps(Step, other)[0], rtol=1e-7, atol=1e-7)


def test_a_value_that_becomes_a_list_later_is_another_graph(interpreted):
    module = KINDS["one_hot"](estimator=Notes()).train()
    module.estimator.noted = None  # it was tried before
    module.estimator.estimate = ScoreFunction.estimate.__get__(module.estimator)
    step, (x, *_) = WholeStep(module, module.build_optimizer()), batches()
    step(x)
    module.estimator.noted = ["by a callback"]
    step(x)
    assert step.instead is None and step.made == 2


def test_buffers_that_were_put_in_others_places_are_trained(interpreted):
    found = []
    for make in (WholeStep, Step):
        torch.manual_seed(0)
        module = KINDS["one_hot"](estimator="reinforce_moving_average").double().train()
        step = make(module, module.build_optimizer())
        torch.manual_seed(1)
        for number, x in enumerate(batches(torch.float64)[:4]):
            if number == 2:
                module.float().double()
            step(x)
        found.append([t.detach().clone() for t in (*module.parameters(), *module.buffers())])
    assert_close(*found, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    "estimator, reason",
    [
        (Counts, "estimator.calls, which is no tensor, changes at every step"),
        (Looks, "looks at a tensor's value"),
        (Replaces, "puts another tensor in the place of estimator.weight"),
        (Drifts, "the graph gives other numbers"),
        (Notes, "estimator.noted, which is no tensor, changes at every step"),
    ],
)
def test_what_a_graph_cannot_hold_is_taken_eagerly(
    estimator, reason, monkeypatch, capsys, interpreted
):
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    torch.manual_seed(0)
    module = KINDS["one_hot"](estimator=estimator(), kl="monte_carlo")
    one, other = pair(module)
    if estimator is Counts:
        one.estimator.calls = 0  # an attribute of its own
    if estimator is Notes:
        one.estimator.noted = None  # it was tried before
    found, step = steps(WholeStep, one)
    (line,) = capsys.readouterr().err.splitlines()
    assert step.instead is not None and reason in line
    if estimator is not Drifts:  # the trial ran
        assert_close(found, steps(Step, other)[0])


def test_what_cannot_be_compiled_at_all_is_said_in_one_line(monkeypatch, capsys):
    def refuses(*args, **kwargs):
        raise RuntimeError("no C++ compiler\nand more")

    monkeypatch.setattr(torch, "compile", refuses)
    torch.manual_seed(0)
    one, other = pair(KINDS["gaussian"]())
    found, _ = steps(WholeStep, one)
    assert capsys.readouterr().err == (
        "the step cannot be one graph, since no C++ compiler: nothing is compiled\n"
    )
    assert_close(found, steps(Step, other)[0], rtol=0, atol=0)


def test_a_value_that_becomes_another_is_another_graph(interpreted):
    found = []
    for make in (WholeStep, Step):
        torch.manual_seed(0)
        module = KINDS["one_hot"](estimator="nvil").double().train()
        step = make(module, module.build_optimizer())
        torch.manual_seed(1)
        for number, x in enumerate([*batches(torch.float64)[:4], *batches(torch.float64)[:2]]):
            if number == 2:
                module.gradient_clip_norm = 0.5
            if number == 4:
                next(module.vae.encoder.parameters()).requires_grad_(False)
            step(x)
        found.append([p.detach().clone() for p in module.parameters()])
    assert_close(*found, rtol=1e-9, atol=1e-9)


def test_values_that_keep_changing_end_in_eager_steps(interpreted, monkeypatch, capsys):
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    module = KINDS["gaussian"]().train()
    step = WholeStep(module, module.build_optimizer())
    for number in range(10):
        module.gradient_clip_norm = 1.0 + number
        step(batches()[0])
    (line,) = capsys.readouterr().err.splitlines()
    assert "gradient_clip_norm keeps changing" in line


def test_hooks_are_called(interpreted, monkeypatch, capsys):
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    module, seen = KINDS["gaussian"]().train(), []
    module.vae.encoder.register_forward_hook(lambda *_: seen.append(1))
    step = WholeStep(module, module.build_optimizer())
    for x in batches()[:3]:
        step(x)
    assert len(seen) >= 3
    assert "vae.encoder has hooks" in capsys.readouterr().err


def test_a_step_that_changes_other_tensors_is_refused():
    outside = torch.zeros(3)
    with pytest.raises(Untraceable, match="neither parameter nor buffer"):
        trace(lambda x: (outside.add_(x),), [torch.ones(3)])


def test_a_trace_leaves_nothing_behind():
    x, before = torch.ones(3), torch.get_rng_state()
    graph = trace(lambda x: (x.add_(torch.rand(3)),), [x])
    assert torch.equal(x, torch.ones(3)) and torch.equal(before, torch.get_rng_state())
    torch.manual_seed(0)
    (value,) = graph(x)
    torch.manual_seed(0)
    assert torch.equal(value, 1 + torch.rand(3)) and torch.equal(value, x)


def test_a_cuda_graph_captures_the_same_step(interpreted, monkeypatch):
    from test_step import OnCPU

    monkeypatch.setattr(vae.training.step, "CapturedStep", OnCPU)
    torch.manual_seed(0)
    one, other = pair(KINDS["one_hot"](estimator="reinforce_moving_average"))
    found, _ = steps(lambda *arguments: GraphStep(WholeStep(*arguments)), one)
    expected, _ = steps(WholeStep, other)
    assert_close(found, expected, rtol=0, atol=0)


def test_a_run_finds_the_bad_step_and_keeps_whole_weights(interpreted, tmp_path):
    module = KINDS["gaussian"](compile="step")
    before = []

    def harm(step, x):
        if step == 27:
            before.extend(p.detach().clone() for p in module.parameters())
            x[0, 0, 0, 0] = math.nan  # of a batch that is done
        if step == 28:
            raise AssertionError("a step after the bad one")

    def spoil(step, x):
        if step == 27:
            with torch.no_grad():
                next(module.vae.likelihood.parameters()).fill_(math.inf)

    module.after_step += [harm, spoil]
    with pytest.raises(
        NonFiniteError, match=r"parameter vae.likelihood.* is infinite, at step 27"
    ):
        fit(module, new_run("x"), 45, steps_per_batch=4)
    kept = [torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True)]
    assert kept.count(False) == 1  # but the one that was spoiled
    assert example("pathwise") is not None


@pytest.mark.e2e
def test_compiled_it_is_the_same_and_goes_on_to_the_last_bit(tmp_path):
    from test_step import Save, assert_equal, state

    def trained(save_to=None, ckpt_path=None, compile="step"):
        torch.manual_seed(0 if ckpt_path is None else 7)
        module = GaussianVAE(latent_dim=3, compile=compile, **SMALL)
        callbacks = [Save(save_to)] if save_to else []
        trainer = fit(
            module, new_run("x"), 45, steps_per_batch=4, ckpt_path=ckpt_path, callbacks=callbacks
        )
        return state(module, trainer)

    torch.compiler.reset()
    whole = trained(tmp_path / "x.ckpt")
    assert_equal(trained(ckpt_path=tmp_path / "x.ckpt"), whole)
    eager = trained(compile=False)
    assert torch.equal(eager["generator"], whole["generator"])
    assert_close(whole, eager, rtol=1e-3, atol=1e-3)


def test_a_smaller_last_batch_is_no_graph_of_its_own(interpreted):
    torch.manual_seed(0)
    one, other = pair(KINDS["gaussian"]().double())
    found, step = steps(lambda *arguments: WholeStep(*arguments, size=9), one)
    assert step.made == 1 and step.instead is None
    assert_close(found, steps(Step, other)[0], rtol=1e-9, atol=1e-9)


def test_a_long_training_is_compiled_by_default_and_goes_on_as_it_began(
    interpreted, monkeypatch, tmp_path
):
    from test_step import Save, assert_equal, state

    def trained(long, steps=45, save_to=None, ckpt_path=None):
        monkeypatch.setattr(vae.training.chosen_step, "LONG", long)
        torch.manual_seed(0 if ckpt_path is None else 7)
        module, callbacks = KINDS["gaussian"](), [Save(save_to)] if save_to else []
        made.clear()
        fit(module, new_run("x"), steps, callbacks=callbacks, ckpt_path=ckpt_path)
        return state(module, module.trainer), list(made)

    made = []
    trace = vae.training.whole.trace
    monkeypatch.setattr(vae.training.whole, "trace", lambda *a: made.append(1) or trace(*a))
    graph, traced = trained(45, save_to=tmp_path / "graph.ckpt")
    eager, none = trained(46, save_to=tmp_path / "eager.ckpt")
    assert traced and not none
    for path, long, whole in (("graph.ckpt", 46, graph), ("eager.ckpt", 45, eager)):
        again, traced = trained(long, ckpt_path=tmp_path / path)
        assert bool(traced) == (path == "graph.ckpt")
        assert_equal(again, whole)


def test_parts_of_one_s_own_are_compiled_only_where_that_is_asked_for(
    interpreted, monkeypatch, tmp_path
):
    made = []
    trace = vae.training.whole.trace
    monkeypatch.setattr(vae.training.whole, "trace", lambda *a: made.append(1) or trace(*a))
    monkeypatch.setattr(vae.training.chosen_step, "LONG", 3)
    for estimator, compile, graphs in (
        (Masks(), None, 0),
        (Masks(), "step", 1),
        (ScoreFunction(), None, 1),
    ):
        made.clear()
        module = KINDS["one_hot"](estimator=estimator, compile=compile)
        fit(module, new_run("x"), 3)
        assert len(made) == graphs


class SavesAtOnce(Callback):
    takes_groups = True

    def __init__(self, path):
        self.path = path

    def on_train_start(self, trainer, pl_module):
        trainer.save_checkpoint(self.path)


def test_a_run_that_ended_before_its_first_step_is_compiled_when_it_goes_on(
    interpreted, monkeypatch, tmp_path
):
    made = []
    trace = vae.training.whole.trace
    monkeypatch.setattr(vae.training.whole, "trace", lambda *a: made.append(1) or trace(*a))
    monkeypatch.setattr(vae.training.chosen_step, "LONG", 3)
    path = tmp_path / "x.ckpt"
    fit(KINDS["gaussian"](), new_run("x"), 3, callbacks=[SavesAtOnce(path)])
    fit(KINDS["gaussian"](), new_run("x"), 3, ckpt_path=path)
    assert len(made) == 2


class Twice(nn.Module):
    """Adds two parameters whose gradients are one tensor."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder, shape = encoder, encoder.out_features
        self.one, self.other = (nn.Parameter(torch.zeros(shape)) for _ in range(2))

    def forward(self, x):
        return self.encoder(x) + (self.one + self.other)


def test_gradients_that_are_one_tensor_are_clipped_once(interpreted):
    torch.manual_seed(0)
    module = KINDS["gaussian"](gradient_clip_norm=0.1)
    module.vae.encoder = Twice(module.vae.encoder)
    one, other = pair(module.double())
    found, step = steps(WholeStep, one)
    assert step.instead is None
    assert_close(found, steps(Step, other)[0], rtol=1e-7, atol=1e-7)


def test_no_step_leaves_gradients_behind_and_a_state_that_is_put_back_is_taken_up(interpreted):
    found = []
    for make in (lambda *a: WholeStep(*a, size=9), Step):
        torch.manual_seed(0)
        module = KINDS["gaussian"]().double().train()
        optimizer = module.build_optimizer()
        step, saved = make(module, optimizer), None
        torch.manual_seed(1)
        for number, x in enumerate([*batches(torch.float64), *batches(torch.float64)]):
            step(x)
            if number == 1:
                saved = copy.deepcopy(optimizer.state_dict())
            if number == 3:  # as a callback that goes back would do
                optimizer.load_state_dict(saved)
            grads = [p.grad for p in module.parameters()]
            assert isinstance(step, WholeStep) is all(g is None for g in grads)
        found.append([p.detach().clone() for p in module.parameters()])
    assert_close(*found, rtol=1e-9, atol=1e-9)


def test_a_bad_step_that_was_not_logged_ends_the_run_at_the_epochs_end(interpreted, monkeypatch):
    module = KINDS["gaussian"](compile="step")
    monkeypatch.setattr(vae.training.module, "asynchronous", lambda device: True)  # as on a GPU

    def harm(step, x):
        if step == 3:
            with torch.no_grad():
                next(module.vae.likelihood.parameters()).fill_(math.inf)

    module.after_step.append(harm)
    with pytest.raises(NonFiniteError, match="not finite at a step of this epoch"):
        fit(module, new_run("x"), 45, log_every=0)


def test_a_value_of_the_class_that_the_instance_changes_is_another_graph(interpreted):
    class Weighted(ScoreFunction):
        weight = 1.0

        def estimate(self, q, f, objective, context):
            estimate = super().estimate(q, f, objective, context)
            return estimate._replace(bound=estimate.bound * self.weight)

    found = []
    for make in (WholeStep, Step):
        torch.manual_seed(0)
        module = KINDS["one_hot"](estimator=Weighted(), kl="monte_carlo").double().train()
        step = make(module, module.build_optimizer())
        torch.manual_seed(1)
        for number, x in enumerate(batches(torch.float64)):
            if number == 2:
                module.estimator.weight = -1.0
            step(x)
        found.append([p.detach().clone() for p in module.parameters()])
    assert_close(*found, rtol=1e-9, atol=1e-9)
