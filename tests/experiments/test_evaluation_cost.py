"""What log p(x) costs against K: the script's numbers, its JSON and its plot."""

import json

import pytest
from PIL import Image


@pytest.fixture
def script(monkeypatch):
    import evaluation_cost
    from benchmark import importance

    def here(module, call):
        name, K, *rest = eval(call.removeprefix("print_cost"))
        seen.append((module, name, K, *rest))
        return {
            "seconds_an_image": 1e-5 * K,
            "images": 2,
            "peak_megabytes": 300.0,
            "megabytes_before": 290.0,
            "megabytes_a_decoding": 0.005,
        }

    seen = []
    monkeypatch.setattr(evaluation_cost, "alone", here)
    evaluation_cost.seen, evaluation_cost.print_cost = seen, importance.print_cost
    return evaluation_cost


def test_each_k_of_each_model_is_measured_and_plotted(script, tmp_path, capsys):
    target = tmp_path / "cost.json"
    script.evaluation_cost([100, 1, 10], 50, 1, "cpu", str(target))
    assert [(name, K) for _, name, K, *_ in script.seen] == [
        (name, K) for name in ("gaussian", "one_hot") for K in (1, 10, 100)
    ]
    models = json.loads(target.read_text())["models"]
    assert models["one_hot"]["rows"]["100"]["seconds_an_image"] == pytest.approx(1e-3)
    with Image.open(target.with_suffix(".png")) as image:
        assert image.size[0] > 500
    assert "peak MB" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["gaussian", "one_hot"])
def test_a_measurement_is_of_the_model_that_is_named(script, name, capsys):
    script.print_cost(name, 30, 90, 1, "cpu")
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 3 and found["seconds_an_image"] > 0
    assert found["peak_megabytes"] >= found["megabytes_before"] > 0
    assert found["megabytes_a_decoding"] == pytest.approx(4 * (400 + 784) / 2**20)


def test_bad_numbers_are_refused_before_anything_is_measured(script, tmp_path):
    for options in ({"samples": []}, {"samples": [0]}, {"rounds": 0}, {"decodings": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            script.evaluation_cost(**options, output=str(tmp_path / "x.json"))
    with pytest.raises(ValueError, match=r"\.json"):
        script.evaluation_cost(output=str(tmp_path / "x.png"))
    assert script.seen == [] and list(tmp_path.iterdir()) == []
