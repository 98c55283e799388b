"""The figures that are drawn of stored models."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from probsig.experiments import language_figures
from probsig.experiments.language_model import at, curve, data, last, over, trained

OPTIONS = {"architecture": "qwen2.5", "scale": "smoke", "device": "cpu", "tokens": 2500}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROBSIG_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield trained(["cc", "arxiv"], [0, 1], **OPTIONS, epochs=2)


def test_figures_draw_what_is_stored(models):
    one = {name: runs[0] for name, runs in models.items()}
    figure = language_figures.four(one)
    heat = at(one["arxiv"], last(one["arxiv"]), "heat").astype(float)
    shown = np.asarray(figure.axes[4 + 1].images[0].get_array().filled(np.nan))
    inside = ~np.eye(len(shown), dtype=bool)
    np.testing.assert_array_equal(shown[inside], heat[0, 1][inside])
    assert np.isnan(np.diag(shown)).all()
    figure = language_figures.through_training(models, 10**6)
    np.testing.assert_allclose(
        figure.axes[1].lines[0].get_ydata(), curve(models["cc"], "previous", 10**6)[1].mean(axis=0)
    )
    figure = language_figures.by_size(models)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), over(models["cc"], "rcos")[:, 0, 0].mean(axis=0))
    figure = language_figures.by_token(models)
    assert len(figure.axes[0].lines[0].get_xdata()) == int(data(one["cc"], "sizes")[-1])
    plt.close("all")


def test_percentiles_are_pooled_and_mean_what_they_say(models):
    table = language_figures.pooled(models)
    assert table.shape[:2] == (2, 10)
    pairs = [int(data(runs[0], "sizes")[-1]) for runs in models.values()]
    assert table[0].sum() == sum(n * (n - 1) // 2 for n in pairs)
    exact = at(models["cc"][0], last(models["cc"][0]), "means")[0]
    alone = language_figures.percentile_means(over(models["cc"][:1], "table")[0, 0])
    np.testing.assert_allclose(alone, exact, atol=0.5 / table.shape[-1])
    for chosen in ((0, 4, 9), range(10)):
        figure = language_figures.distributions(models, chosen=chosen)
        assert len(figure.axes) == (1 if len(chosen) == 3 else 10)
    figure = language_figures.interval_means(models)
    np.testing.assert_allclose(
        figure.axes[0].lines[0].get_ydata(), language_figures.percentile_means(table).mean(axis=0)
    )
    plt.close("all")


def test_a_peak_and_its_dip(monkeypatch):
    x, values = np.array([0.0, 0.5, 1.0, 2.0, 3.0]), np.array([[0, 0.9, 0.5, 0.7, 0.6], [0, 0, 0.1, 0.2, 0.3]])
    monkeypatch.setattr(language_figures, "curve", lambda models, side, C: (x, values))
    top, dip = language_figures.peak([], "next", 100)
    assert top.tolist() == [0.7, 0.3] and dip.round(9).tolist() == [0.1, 0.0]
