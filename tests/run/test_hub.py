"""Models to and from the Hugging Face hub: by folders here, never by the network."""

import json
import shutil
import sys
from functools import partial
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from small import MODULES

import vae
from vae.cli.main import run
from vae.models.checkpoint import read_checkpoint
from vae.models.load import instantiate_class
from vae.run.hub_card import card
from vae.run.plain_yaml import read_yaml

pytest.importorskip("huggingface_hub")
pytest.importorskip("safetensors")
ROOT = Path(__file__).resolve().parents[2]
SHAPE = (1, 8, 8)
CONFIGS = ROOT / "vae" / "configs" / "models"
FAST = ["codes_vq", "conditional_bernoulli", "flow_posterior", "two_layers", "vamp_prior"]
OTHERS = sorted({path.stem for path in CONFIGS.glob("*.yaml")} - {*FAST})
SMALL = ["gumbel", "gaussian-conv", "gaussian-reinforce", "concrete"]


def module_of(name):
    """One of ``small.py``, or of the configurations of models, on 8 x 8 pixels."""
    if name in MODULES:
        return MODULES[name]()
    model = read_yaml(CONFIGS / f"{name}.yaml")["model"]
    kind = getattr(vae, model["class_path"].removeprefix("vae."))
    return instantiate_class(kind, model["init_args"] | {"image_shape": list(SHAPE)})


@pytest.mark.parametrize(
    "name", [*SMALL, *FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_a_model_comes_back_to_the_last_bit(name, tmp_path):
    module = module_of(name)
    hub = vae.HubModel.from_module(module)
    hub.save_pretrained(tmp_path / "model")
    again = vae.HubModel.from_pretrained(tmp_path / "model")
    own = module.state_dict()
    assert again.state_dict().keys() == own.keys() and not again.training
    assert all(torch.equal(value, own[key]) for key, value in again.state_dict().items())
    assert type(again.objective) is type(module.objective)
    assert again.schedules.keys() == dict(module.schedules).keys()
    x, models = torch.rand(3, *SHAPE).round(), (module.eval().vae, again.vae)
    drawn = []
    for model in models:
        torch.manual_seed(1)
        drawn.append((model(x), model.sample(2)))
    assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))
    again.save_pretrained(tmp_path / "twice")  # what came from a folder goes to one
    for file in ("config.json", "model.safetensors", "README.md"):
        one, other = ((tmp_path / f / file).read_bytes() for f in ("model", "twice"))
        assert one == other


def test_parts_of_ones_own_need_trust_and_come_back(tmp_path, monkeypatch):
    shutil.copy(ROOT / "experiments" / "own_parts" / "mine.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("mine", None)
    import mine

    module = vae.VAEModule(
        image_shape=SHAPE,
        encoder=partial(mine.Wide, width=9),
        latent=partial(mine.LaplaceLatent, num_variables=3),
        objective=mine.TemperedELBO(num_samples=4, weight=0.9),
        estimator=mine.BatchMean(weight=0.9),
    )
    vae.HubModel.from_module(module).save_pretrained("model")
    assert "trust=['mine']" in Path("model/README.md").read_text()
    del sys.modules["mine"]
    with pytest.raises(ValueError, match="would run the module mine; .*--trust mine"):
        vae.HubModel.from_pretrained("model")
    with pytest.raises(ValueError, match="would run the module mine"):
        vae.load("model")
    assert "mine" not in sys.modules  # it was not imported
    again = vae.HubModel.from_pretrained("model", trust=["mine"])
    assert type(again.estimator).__name__ == "BatchMean"
    assert torch.equal(
        again.state_dict()["vae.encoder.body.1.weight"], module.vae.encoder.body[1].weight
    )
    sys.modules.pop("mine", None)


@pytest.fixture
def model(tmp_path):
    vae.HubModel.from_module(MODULES["gaussian"]()).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("name", ["evil.Body", "os.system", "vae.HubModel", "vae.load"])
def test_a_config_is_judged_before_anything_is_imported(name, model, monkeypatch):
    (model.parent / "evil.py").write_text("import pathlib\npathlib.Path('ran').touch()\n")
    monkeypatch.syspath_prepend(model.parent)
    monkeypatch.chdir(model.parent)
    config = json.loads((model / "config.json").read_text())
    for part in ("encoder", "latent", "estimator"):
        bad = {**config, "parts": config["parts"] | {part: {"class_path": name}}}
        (model / "config.json").write_text(json.dumps(bad))
        with pytest.raises(ValueError, match="would run the module|no class of a part"):
            vae.HubModel.from_pretrained(model)
    bad = {**config, "parts": None, "model": {"class_path": name, "init_args": {}}}
    (model / "config.json").write_text(json.dumps(bad))
    with pytest.raises(ValueError, match="would run the module|no class of a part"):
        vae.load(model)
    assert not Path("ran").exists() and "evil" not in sys.modules


def _config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _weights(folder, **changes):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors") | changes
    weights = {name: value for name, value in weights.items() if value is not None}
    save_file(weights, folder / "model.safetensors")


FIRST = "vae.encoder.1.bias"
DAMAGES = {
    "no configuration": (lambda f: (f / "config.json").unlink(), "holds no config.json"),
    "a text": (lambda f: (f / "config.json").write_text("x"), "config.json is not JSON"),
    "a list": (lambda f: (f / "config.json").write_text("[1]"), "of another library's model"),
    "deep": (lambda f: (f / "config.json").write_text("[" * 99_999), "config.json is not JSON"),
    "no UTF-8": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe{"), "is not text in UTF-8"),
    "another library's": (lambda f: _config(f, library_name="timm"), "of another library's model"),
    "no class": (lambda f: _config(f, model=3), "names no class for its model"),
    "no parts": (lambda f: _config(f, parts=[1]), "does not say what its model is made of"),
    "no training": (lambda f: _config(f, training=5), "does not say its training"),
    "a number alone": (lambda f: _config(f, numbers={"elbo": 3}), "does not say its numbers"),
    "a number without a unit": (
        lambda f: _config(f, numbers={"elbo": {"mean": 1.0, "bound": "exact"}}),
        "does not say its numbers",
    ),
    "a number that is none": (
        lambda f: _config(f, numbers={"elbo": {"mean": "1", "unit": "nats", "bound": "exact"}}),
        "does not say its numbers",
    ),
    "nothing said": (lambda f: _config(f, parts=None, model=None), "names no class for its model"),
    "empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "it is empty"),
    "cut": (
        lambda f: (f / "model.safetensors").write_bytes(
            (f / "model.safetensors").read_bytes()[:99]
        ),
        "truncated, damaged or of another kind",
    ),
    "a pickle": (
        lambda f: torch.save({FIRST: torch.zeros(1)}, f / "model.safetensors"),
        "truncated, damaged or of another kind",
    ),
    "another shape": (lambda f: _weights(f, **{FIRST: torch.zeros(3)}), "has the shape"),
    "integers": (
        lambda f: _weights(f, **{FIRST: torch.zeros(3).long()}),
        "is of torch.int64, not",
    ),
    "one missing": (lambda f: _weights(f, **{FIRST: None}), f"it lacks {FIRST}"),
    "one too many": (lambda f: _weights(f, more=torch.zeros(1)), "has an unknown more"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "holds no model.safetensors"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_one_line(damage, model):
    harm, words = DAMAGES[damage]
    harm(model)
    with pytest.raises((ValueError, FileNotFoundError), match=words) as error:
        vae.HubModel.from_pretrained(model)
    assert "\n" not in str(error.value) and str(model) in str(error.value)


def test_a_run_goes_with_its_numbers_and_the_scripts_read_it(trained_run, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(trained_run("discrete"), folder)
    run("evaluate", "vae evaluate", [str(folder), "--log_likelihood", "5", "--elbo_samples", "2"])
    vae.HubModel.from_checkpoint(folder).save_pretrained(tmp_path / "model")
    rows = json.loads((folder / "evaluation-test.json").read_text())["metrics"]
    card = (tmp_path / "model" / "README.md").read_text()
    row = rows["log_likelihood_5"]
    assert (
        f"| log_likelihood_5 | {row['mean']:.2f} ± {row['se']:.2f} nats | lower bound | K = 5, 250"
        in card
    )
    assert (
        "| lower bound | samples 2, 250 images" in card
    )  # K is the bound's, samples the estimate's
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["training"]["seed"] == 0 and "pid" not in config["training"]
    assert str(tmp_path) not in json.dumps(config)  # no path of this machine
    for verb, words in (
        ("sample", []),
        ("kl", []),
        ("evaluate", ["--limit", "20"]),
    ):
        run(verb, f"vae {verb}", [str(tmp_path / "model"), *words])
    assert (tmp_path / "model" / "images" / "kl.png").is_file()
    theirs = read_checkpoint(tmp_path / "model" / "model.safetensors")["state_dict"]
    ours = read_checkpoint(folder / "checkpoints" / "best.ckpt")["state_dict"]
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)
    other = vae.HubModel.from_checkpoint(folder / "checkpoints" / "last.ckpt")
    assert other._hub_mixin_config["numbers"] == {}  # those are of another checkpoint
    evaluation = json.loads((folder / "evaluation-test.json").read_text())
    (folder / "evaluation-test.json").write_text(json.dumps(evaluation | {"step": 1}))
    assert vae.HubModel.from_checkpoint(folder)._hub_mixin_config["numbers"] == {}


def test_a_full_disk_leaves_the_folder_that_was_there(model, monkeypatch):
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    other = vae.HubModel.from_module(MODULES["gumbel"]())

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with (
        monkeypatch.context() as patch,
        pytest.raises(OSError, match="cannot write .*safetensors"),
    ):
        patch.setattr("os.fsync", full)
        other.save_pretrained(model)
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before
    other.save_pretrained(model)  # a README.md that is there may be the user's own
    assert (model / "README.md").read_bytes() == before["README.md"]
    assert (model / "config.json").read_bytes() != before["config.json"]


def test_to_a_repository_and_back(model, tmp_path, monkeypatch):
    """The network is in the two places where huggingface_hub has it, and stands for a folder."""
    remote = tmp_path / "remote"

    class Api:
        def __init__(self, token=None):
            pass

        def create_repo(self, repo_id, **options):
            return type("Repo", (), {"repo_id": repo_id})

        def upload_folder(self, folder_path, repo_id, **options):
            shutil.copytree(folder_path, remote)
            return f"pushed {repo_id}"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda name, file: str(remote / file))
    one = vae.HubModel.from_pretrained(model)
    assert one.push_to_hub("me/digits") == "pushed me/digits"
    assert 'from_pretrained("me/digits").vae' in (remote / "README.md").read_text()
    again = vae.HubModel.from_pretrained("me/digits")
    assert all(torch.equal(v, one.state_dict()[k]) for k, v in again.state_dict().items())
    with pytest.raises(FileNotFoundError, match="no folder, and no name of a repository"):
        monkeypatch.undo()
        vae.HubModel.from_pretrained("no/such/folder")


def test_what_the_hub_refuses_is_one_line_that_names_the_repository(monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    for error in (
        RepositoryNotFoundError("Not found.\n\nPlease make sure", response=MagicMock()),
        LocalEntryNotFoundError("Please check your connection\nand try again"),
    ):

        def refuse(*_, error=error, **__):
            raise error

        monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
        words = "^me/digits is no folder, and the hub does not give it: .*Please [^\n]*$"
        with pytest.raises(FileNotFoundError, match=words):
            vae.HubModel.from_pretrained("me/digits")


def test_a_folder_takes_no_option_of_the_hub(model):
    with pytest.raises(ValueError, match="is a folder here: revision is for the hub$"):
        vae.HubModel.from_pretrained(model, revision="main")


def test_the_card_names_the_modules_that_loading_it_needs_trust_for(model):
    config = json.loads((model / "config.json").read_text())
    _config(model, data={"class_path": "mine.Faces", "init_args": {}})  # not made to load a model
    again = vae.HubModel.from_pretrained(model)
    assert "trust" not in again.generate_model_card().text
    parts = config["parts"] | {"encoder": {"class_path": "torch.nn.Linear", "init_args": {}}}
    _config(model, parts=parts)
    with pytest.raises(ValueError, match=r"add --trust torch[.]nn "):
        vae.HubModel.from_pretrained(model)
    text = card(json.loads((model / "config.json").read_text()))
    assert "trust=['torch.nn']" in text


def test_data_from_a_path_of_this_machine_are_left_out(tmp_path):
    module = MODULES["gaussian"]()
    data = {"class_path": "vae.ImageFolderDataModule", "init_args": {"folder": "/home/me/faces"}}
    own = module.names() | {
        "data": data,
        "training": {"command": "vae fit -c /x/y.yaml", "seed": 3},
    }
    torch.save({"vae": own, "state_dict": module.state_dict()}, tmp_path / "x.ckpt")
    vae.HubModel.from_checkpoint(tmp_path / "x.ckpt").save_pretrained(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["data"] is None and config["training"] == {"seed": 3}
    assert "another machine" in config["data_why_not"]


def test_a_weight_by_two_names_is_saved_by_both(tmp_path):
    hub = vae.HubModel.from_module(MODULES["gaussian"]())
    hub.vae.encoder.tied = hub.vae.encoder[1]
    hub.save_pretrained(tmp_path)
    saved = read_checkpoint(tmp_path / "model.safetensors")["state_dict"]
    assert saved.keys() == hub.state_dict().keys() and "vae.encoder.tied.weight" in saved


def test_what_no_file_can_say_is_refused():
    module = vae.VAEModule(image_shape=SHAPE, encoder=lambda shape: vae.MLPEncoder(shape))
    with pytest.raises(ValueError, match="no file can say how to make this model again"):
        vae.HubModel.from_module(module)


@pytest.mark.parametrize("library", ["huggingface_hub", "safetensors"])
def test_without_the_extra_a_line_names_it(library, model, monkeypatch):
    for name in [n for n in sys.modules if n.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    words = r"pip install '\.\[hub\]'"
    with pytest.raises(ValueError, match=words):
        vae.HubModel.from_pretrained(model)
    with pytest.raises(ValueError, match=words):
        vae.HubModel.from_checkpoint("gaussian")
    if library == "safetensors":
        with pytest.raises(ValueError, match=words):
            vae.load(model)
    monkeypatch.delitem(sys.modules, "vae.run.hub")  # it can be imported all the same
    monkeypatch.delattr(vae, "HubModel")
    assert vae.HubModel.__name__ == "HubModel"
    with pytest.raises(ValueError, match=words):
        vae.HubModel.from_module(MODULES["gaussian"]())


def test_a_config_without_parts_is_made_by_its_module(model):
    config = json.loads((model / "config.json").read_text())
    del config["parts"]
    (model / "config.json").write_text(json.dumps(config))
    assert vae.HubModel.from_pretrained(model).vae.image_shape == (1, 8, 8)
