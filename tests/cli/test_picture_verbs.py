"""The verbs that draw: pictures that open, in their place, of the images asked for, and on W&B's page."""

import shutil
from io import BytesIO

import pytest
import torch
from chaos import rows
from matplotlib.image import imread

from vae.cli.main import run
from vae.run.finding import set_aside

VERBS = ["interpolate", "traverse", "latent-map", "kl", "code-usage", "curves"]
MODEL = {"code-usage": "discrete"}
WORDS = {"latent-map": ["--method", "pca"]}


@pytest.fixture
def draw(trained_run, tmp_path):
    """``draw("kl", ...)``: draws to a file of the test's folder, and returns it."""

    def one(verb, *words, suffix="png", model=None):
        path = tmp_path / "new" / f"{verb}.{suffix}"
        of = trained_run(model or MODEL.get(verb, "gaussian"))
        run(verb, f"vae {verb}", [str(of), "--output", str(path), *WORDS.get(verb, []), *words])
        return path

    return one


@pytest.mark.parametrize("verb", VERBS)
def test_a_picture_opens_and_is_the_same_again(verb, draw):
    path = draw(verb)
    picture = imread(path)
    first = path.read_bytes()
    assert min(picture.shape[:2]) > 300 and picture[..., :3].std() > 0.02
    assert draw(verb).read_bytes() == first
    pdf = draw(verb, suffix="pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and b"CIDFontType2" in pdf  # letters, not outlines
    assert [p.name for p in sorted(path.parent.iterdir())] == [f"{verb}.pdf", f"{verb}.png"]


def test_numbers_and_images_are_those_asked_for(draw, capsys):
    draw("interpolate", "--images", "[3, 5, 4, 9]", "--way", "linear", "--split", "val")
    assert "2 ways between val images (linear)" in capsys.readouterr().out
    draw("traverse", "--count", "3", "--image", "2", "--columns", "4", "--kl_images", "20")
    assert "3 of 8 variables at test image 2" in capsys.readouterr().out
    draw("latent-map", "--count", "30", model="discrete")
    assert "the codes of 30 test images (pca)" in capsys.readouterr().out
    draw("kl", "--count", "40", "--data", "DigitsDataModule", "--data.binarization", "none")
    assert "40 test images" in capsys.readouterr().out


def test_by_default_it_is_in_the_runs_folder_and_goes_aside_with_it(trained_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained_run("discrete"), folder)
    for verb in VERBS:
        run(verb, f"vae {verb}", [str(folder), *WORDS.get(verb, [])])
    drawn = {f"{verb}.png" for verb in VERBS}
    assert drawn <= {p.name for p in (folder / "images").iterdir()}
    aside = set_aside(folder, 3)
    assert drawn <= {p.name for p in (aside / "images").iterdir()}


def test_a_run_that_wandb_knows_has_it_on_its_page(trained_run, tmp_path, monkeypatch):
    folder, logged = tmp_path / "run", []
    shutil.copytree(trained_run("gaussian"), folder)
    monkeypatch.setenv("WANDB_MODE", "offline")

    def log_images(run, images):
        logged.append((run, {name: imread(BytesIO(png)).ndim for name, png in images.items()}))

    monkeypatch.setattr("vae.run.wandb_page.log_images", log_images)
    run("kl", "vae kl", [str(folder)])
    assert not logged  # it has no page
    (folder / "wandb").mkdir()
    run("kl", "vae kl", [str(folder)])
    run("kl", "vae kl", [str(folder), "--output", str(tmp_path / "kl.pdf")])  # W&B shows no PDF
    run("curves", "vae curves", [str(folder)])
    names = ["pictures/kl", "pictures/kl", "pictures/curves"]
    assert logged == [(folder, {name: 3}) for name in names]


def test_curves_of_several_runs(trained_run, tmp_path, capsys):
    for name in ("gaussian", "discrete"):
        shutil.copytree(trained_run(name), tmp_path / "runs" / name)
    run("curves", "vae curves", [str(tmp_path / "runs"), "--metrics", "[val/elbo, val/rate]"])
    assert "2 lines of 2 runs" in capsys.readouterr().out
    assert (tmp_path / "runs" / "curves.png").is_file()
    both = [str(tmp_path / "runs" / name) for name in ("gaussian", "discrete")]
    run("curves", "vae curves", [*both, "--x", "epochs"])
    assert any("val/elbo" in row for row in rows(tmp_path / "runs" / "gaussian"))


def test_a_rate_distortion_curve_is_that_of_the_evaluation(trained_run, tmp_path, capsys):
    from vae.evaluation.answers import Answers
    from vae.run.files import digest

    folder = tmp_path / "run"
    shutil.copytree(trained_run("gaussian"), folder)
    with pytest.raises(SystemExit):
        run("rate-distortion", "vae rate-distortion", [str(folder)])
    assert (
        "has no rate-distortion curve of test images yet: vae evaluate" in capsys.readouterr().err
    )
    weights = digest(folder / "checkpoints" / "best.ckpt")
    for of, images, scale in ((weights, 3, 1.0), ("another", 9, 2.0), (weights, 2, 3.0)):
        kept = Answers(
            folder / "evaluation-answers", "test-rate_distortion", {"weights": of, "n": images}
        )
        beta = torch.linspace(0, 1, 5).expand(images, -1)
        kept.add({"beta": beta, "rate": 5 * beta, "distortion": scale * (30 - 9 * beta)}, 1.0)
        kept.write()
    (folder / "evaluation-answers" / "test-rate_distortion-x.npz").write_text("damaged")
    run("rate-distortion", "vae rate-distortion", [str(folder)])
    assert "3 test images, 5 temperatures" in capsys.readouterr().out  # the most, of these weights
    assert imread(folder / "images" / "rate-distortion.png").std() > 0.02


def test_data_without_labels_are_one_colour(draw, capsys, monkeypatch):
    draw("latent-map")
    assert "without classes" not in capsys.readouterr().out
    monkeypatch.setattr("vae.data.images.digits.Digits.labels", lambda *args: None)
    draw("latent-map")
    assert "without classes: the data have no labels" in capsys.readouterr().out

    def gone(*args):
        raise FileNotFoundError("no labels in /nowhere")

    monkeypatch.setattr("vae.data.images.digits.Digits.labels", gone)
    draw("latent-map")
    assert "without classes: no labels in /nowhere" in capsys.readouterr().out
