"""What a run and a comparison say on the terminal, and what they warn of."""

import numpy as np
import pytest

import parabench
from parabench.report import write_report
from parabench.report.comparison_table import print_comparison
from parabench.report.terminal import print_runs


def evaluate(pairs, out, model, metrics, **options):
    return parabench.evaluate(model, pairs, out=out, metrics=metrics, **{"n_resamples": 50} | options)


class Own:
    """Vectors of its own for texts and pictures, by name."""

    spec, dim, cacheable, sees = "own", 64, False, "ids"

    def __init__(self, swap=0):
        self.swap, self.fingerprint = swap, f"own-{swap}"

    def _vector(self, number):
        return np.random.default_rng(number).normal(size=64).astype(np.float32)

    def encode_text(self, texts):
        return np.stack([self._vector(int(text.split()[0])) + 0.3 * self._vector(sum(map(ord, text)) + 10_000) for text in texts])

    def encode_images(self, images):
        return np.stack([self._vector((int(image) + self.swap) % 60) for image in images])


@pytest.fixture
def sixty(tmp_path):
    path = tmp_path / "sixty.csv"
    path.write_text("image_id,caption,paraphrase\n" + "".join(f"{n},{n} is a thing,{n} it is\n" for n in range(60)))
    return path


def test_recall_at_chance_beside_stable_lists_asks_for_the_ids(sixty, tmp_path):
    right = evaluate(sixty, tmp_path / "right", model=Own(), metrics=["AO@10"])
    assert right.value("R@1", "retrieval") > 0.9 and not right.result.warnings
    wrong = evaluate(sixty, tmp_path / "wrong", model=Own(swap=7), metrics=["AO@10"])
    (warning,) = wrong.result.warnings
    assert wrong.value("AO@10") == pytest.approx(right.value("AO@10")) and "do the ids name the right ones" in warning
    constant = evaluate(sixty, tmp_path / "constant", model="constant:8", metrics=["AO@10"])
    assert "stable but useless" in constant.result.warnings[0]


def test_a_comparison_repeats_warnings_and_tells_the_winner_first(sixty, tmp_path, capsys):
    runs = [evaluate(sixty, tmp_path / name, model=model, metrics=["AO@10"]) for name, model in (("own", Own()), ("constant", "constant:8"))]
    comparison = parabench.compare(*runs, metrics=["AO@10", "R@10"])
    print_comparison(comparison)
    said = " ".join(capsys.readouterr().out.split())
    assert "constant:8: stable but useless" in said and "useless all the same: it returns the same pictures whatever is asked" in said
    assert "own is better at finding the right picture than constant:8 (R@10 1.000 against" in said and "difference .8" in said


def test_tables_show_what_was_asked_for(sixty, tmp_path, capsys):
    foils = sixty.with_name("foils.csv")
    foils.write_text(sixty.read_text().replace("paraphrase\n", "paraphrase,foil\n").replace(" it is\n", f" it is,{'3'} is not\n"))
    runs = [evaluate(foils, tmp_path / f"{swap}", model=Own(swap), metrics=["RBO(p=0.9)@5", "Top1", "AO@3"]) for swap in (0, 7)]
    for shown, more in ((runs[:1], ("floor", "foil-gap")), (runs, ())):
        print_runs(shown)
        out = capsys.readouterr().out
        assert all(name in out for name in ("RBO", "Top1", "AO@3", "R@10", "foil-AUC", *more)), out
        assert "60 pairs of 60 pictures" in out


@pytest.mark.parametrize("size", [5, 12])
def test_small_galleries_show_accuracy_and_the_better_model(tmp_path, capsys, size):
    path = tmp_path / "few.csv"
    path.write_text("image_id,caption,paraphrase\n" + "".join(f"{n},{n} is a thing,{n} it is\n" for n in range(size)))
    worse, better = Own(swap=1), Own()
    worse.spec, better.spec = "worse", "better"
    runs = [evaluate(path, tmp_path / encoder.spec, model=encoder, metrics=["AO@3"]) for encoder in (worse, better)]
    print_runs(runs)
    said = " ".join(capsys.readouterr().out.split())
    recall = "R@1" if size == 5 else "R@5"
    assert f"{recall} " in said and f"{recall} para." in said and "Of these, better finds the right pictures most often" in said
    again = Own()
    again.spec = again.fingerprint = "again"
    print_runs([*runs, evaluate(path, tmp_path / "again", model=again, metrics=["AO@3"])])
    assert "better and again find the right picture" in " ".join(capsys.readouterr().out.split())
    comparison = parabench.compare(*runs)
    print_comparison(comparison)
    said = " ".join(capsys.readouterr().out.split())
    assert ("5 pictures are too few for a test to show any difference" in said) == (size == 5)
    assert ("better is better at finding the right picture than worse (R@5" in said) == (size == 12)


def test_the_rule_of_thumb_does_not_contradict_the_difference():
    from parabench.evaluate.comparison import Contrast
    from parabench.report.reading import _verdict

    shown = {"metric": "AO@3", "run": "a", "reference": "b", "value": 0.5, "reference_value": 0.4, "ci_low": -0.01, "ci_high": 0.2, "p": 0.06, "n": 9, "clusters": 9}
    assert "would show a difference of .150" in _verdict(Contrast(**shown, difference=0.1, minimum_detectable=0.15), "a", "b", ())
    assert "would show" not in _verdict(Contrast(**shown, difference=0.1, minimum_detectable=0.08), "a", "b", ())


def test_one_pair_of_one_picture(tmp_path, capsys):
    path = tmp_path / "one.csv"
    path.write_text("image_id,caption,paraphrase\n1,1 is a thing,1 it is\n")
    print_runs([evaluate(path, tmp_path / "run", Own(), ["AO@1"])])
    assert capsys.readouterr().out.splitlines()[0] == "one.csv: 1 pair of 1 picture"


def test_figures_of_equal_values_are_drawn(tmp_path):
    class Two(Own):
        def encode_images(self, images):
            return np.stack([self._vector(int(image)) for image in images])

    path = tmp_path / "equal.csv"
    path.write_text("image_id,caption,paraphrase,kind\n" + "".join(f"{n},{n} is a thing,{n} is a thing too,{'ab'[n % 2]}\n" for n in range(13)))
    for resamples in (1, 2, 50):  # of so few resamples the interval may miss the value
        run = evaluate(path, tmp_path / "run", model=Two(), metrics=["AO@3"], n_resamples=resamples)
        write_report([run], None, [], tmp_path / "page.html")
        assert (tmp_path / "page.html").stat().st_size > 5000
