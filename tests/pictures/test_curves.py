"""Learning curves: what runs have logged, which belong together, and mean ± standard error."""

import html
import json
import math
import statistics
import warnings

import pytest
from matplotlib.collections import LineCollection

from vae.pictures import letters, style
from vae.pictures.curves import Curve, curve, draw, spread
from vae.pictures.style import save, to_png, to_svg
from vae.run.history import by_configuration, histories, metrics_of


def write(run, values, seed=0, name="a", lr=0.1, steps=10, **more):
    """A run of one validation an epoch of so many steps."""
    run.mkdir(parents=True)
    config = {"seed_everything": seed, "name": name, "trainer": {"max_epochs": 3}}
    config["model"] = {"class_path": "vae.GaussianVAE", "init_args": {"lr": lr, **more}}
    (run / "config.yaml").write_text(json.dumps(config))
    rows = [
        {"step": steps * (i + 1) - 1, "time": 100.0 + i, "epoch": i, "val/elbo": value}
        for i, value in enumerate(values)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def test_seeds_are_one_line_of_mean_and_standard_error(tmp_path):
    values = [[-3.0, -2.0, -1.0], [-5.0, -2.5, -1.0], [-4.0, -1.0, -2.0]]
    for seed, own in enumerate(values):
        write(tmp_path / f"r{seed}", own, seed, name=f"a-seed{seed}", test_samples=seed)
    (group,) = by_configuration(histories([tmp_path]))
    assert group.label == "a" and len(group.runs) == 3
    found = curve([run.rows for run in group.runs], "val/elbo", "epochs")
    assert found.x == [1, 2, 3] and found.runs == 3 and found.cut is None
    for column, mean, se in zip(zip(*values, strict=True), found.mean, found.se, strict=True):
        assert mean == pytest.approx(statistics.mean(column))
        assert se == pytest.approx(statistics.stdev(column) / math.sqrt(3))
    figure = draw({"val/elbo": {"a": found}}, "epochs")
    (axes,) = figure.axes
    (line,) = axes.lines
    assert list(line.get_ydata()) == found.mean
    corners = {tuple(v) for v in axes.collections[0].get_paths()[0].vertices.round(9)}
    for x, mean, se in zip(found.x, found.mean, found.se, strict=True):
        assert {(x, round(mean - se, 9)), (x, round(mean + se, 9))} <= corners
    assert "3 seeds" in axes.get_title("left")


def test_configurations_are_lines_of_their_own_and_say_how_they_differ(tmp_path):
    write(tmp_path / "r0", [-3.0], name="a", lr=0.1)
    write(tmp_path / "r1", [-2.0], name="a", lr=0.2)
    write(tmp_path / "r2", [-2.0], name="b", lr=0.2)
    groups = by_configuration(histories([tmp_path / f"r{i}" for i in range(3)]))
    assert [group.label for group in groups] == ["a, lr 0.1", "a, lr 0.2", "b"]


def test_folders_of_studies_and_of_models_at_once_hold_several(tmp_path):
    for number in range(3):
        write(tmp_path / f"r{number}", [-1.0], number)
    group = tmp_path / "a-x2"
    group.mkdir()
    (group / "run.json").write_text(json.dumps({"runs": ["r0", "r2"]}))
    assert [h.run.name for h in histories([group])] == ["r0", "r2"]
    assert [h.run.name for h in histories([tmp_path])] == ["r0", "r1", "r2"]
    assert len(histories([tmp_path, tmp_path / "r0"])) == 3  # once each
    with pytest.raises(FileNotFoundError, match="nowhere is no run's folder, and holds none"):
        histories([tmp_path / "nowhere"])


def test_damaged_rows_are_left_out_and_times_are_those_since_the_start(tmp_path):
    run = write(tmp_path / "r", [-3.0, -2.0])
    text = (run / "metrics.jsonl").read_text()
    damage = '{"step": 5}\nnonsense\n[1]\n{"step": "x", "time": 1}\n{"step": 30, "time": 9, "val/elbo": NaN}\n'
    (run / "metrics.jsonl").write_text(text + damage)
    (run / "run.json").write_text(json.dumps({"started": "1970-01-01T00:01:30+0000"}))
    (history,) = histories([run])
    assert [row["seconds"] for row in history.rows][:2] == [10.0, 11.0]
    assert metrics_of([history]) == ["val/elbo"]
    found = curve([history.rows], "val/elbo", "seconds")
    assert found == Curve([10.0, 11.0], [-3.0, -2.0], None, 1)


def test_only_steps_that_every_seed_has_are_shown(tmp_path):
    write(tmp_path / "r0", [-3.0, -2.0, -1.0], 0)
    write(tmp_path / "r1", [-5.0, -4.0], 1)
    rows = [h.rows for h in histories([tmp_path])]
    found = curve(rows, "val/elbo", "steps")
    assert found.x == [9, 19] and found.mean == [-4.0, -3.0] and found.cut == 19


def test_each_run_is_smoothed_before_the_mean(tmp_path):
    rows = [
        [{"step": i, "a": v} for i, v in enumerate(own)]
        for own in ([0.0, 2.0, 4.0], [2.0, 2.0, 8.0])
    ]
    found = curve(rows, "a", "steps", smooth=2)
    assert found.mean == [1.0, 1.5, 4.0]
    assert found.se == pytest.approx([1.0, 0.5, 1.0])


def test_names_at_the_ends_do_not_overlap():
    places = spread([0.1, 0.11, 0.12, 0.99, 1.4], 0.085)
    assert min(b - a for a, b in zip(places, places[1:], strict=False)) >= 0.085 - 1e-9
    assert places[0] == 0.1 and places[-1] <= 1
    crowded = spread([0.5] * 20, 0.085)
    assert min(b - a for a, b in zip(crowded, crowded[1:], strict=False)) >= 0.085 - 1e-9
    figure = draw({"a": {f"line {i}": Curve([0, 1], [0, 1], None, 1) for i in range(3)}})
    assert len(figure.axes[0].texts) == 3 and not figure.legends
    many = {"a": {f"line {i}": Curve([0, 1], [0, i], None, 1) for i in range(9)}}
    assert len(draw(many, x_scale="log").legends[0].get_texts()) == 9


def test_a_name_is_no_formula(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name, [-3.0, -2.0], name=rf"{name} $\frac$")
    groups = by_configuration(histories([tmp_path]))
    lines = {g.label: curve([run.rows for run in g.runs], "val/elbo", "steps") for g in groups}
    for metrics in (["val/elbo"], ["val/elbo", "val/rate"]):  # names beside lines, and below
        draw(dict.fromkeys(metrics, lines)).savefig(tmp_path / "curves.svg")


def test_a_row_of_no_epoch_is_no_end(tmp_path):
    run = write(tmp_path / "r", [-3.0])
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "time": 101, "epoch": -1, "val/elbo": -2}\n')
    (found,) = histories([run])
    assert [row["epochs"] for row in found.rows] == [1, 1]


def test_names_in_letters_of_all_scripts(tmp_path, capsys, monkeypatch):
    """Without a warning; in pixels a letter that no font has is a box, and a line says which."""
    monkeypatch.setattr(style, "families", lambda: ["sans-serif"])  # whatever this machine has
    names = ["高斯 100% & <b>", "smile \U0001fac8", r"a $\frac$"]
    figure = draw({r"val/$\frac$": {name: Curve([1.0], [2.0], None, 1) for name in names}})
    save(figure, tmp_path / "a.png")
    said = capsys.readouterr().err
    assert set("高斯\U0001fac8") < set(said) and said.count("\n") == 1 and "boxes" in said
    text = to_svg(figure)
    for name in names:
        assert f">{html.escape(name, quote=False)}<" in text
    assert to_png(figure) and not capsys.readouterr().err and letters.wide("高a") == 3


def test_a_single_point_has_its_error_too():
    figure = draw({"a": {"b": Curve([1.0], [2.0], [0.5], 3)}})
    (bar,) = (c for c in figure.axes[0].collections if isinstance(c, LineCollection))
    assert bar.get_segments()[0].tolist() == [[1.0, 1.5], [1.0, 2.5]]


def test_other_warnings_of_a_picture_are_not_lost():
    with pytest.warns(UserWarning, match="mine"), letters.lettered(said=False):
        warnings.warn("mine", stacklevel=1)
