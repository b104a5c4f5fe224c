"""``demo:``: trained models that need no torch, for the pictures and texts of the demo and nothing else."""

import json
import subprocess
import sys

import pytest

from parabench.encoders import load_encoder
from parabench.errors import ModelError, UsageError

_PROGRAM = """
import json, sys, tempfile
from parabench.evaluate import evaluate
found = {}
for name in ("scratch", "align"):
    run = evaluate(f"demo:{name}", "scenes", out=tempfile.mkdtemp(), split="test", metrics=("AO@10",), n_resamples=20)
    found[name] = (run.value("AO@10"), run.value("R@10", "retrieval"))
print(json.dumps({"found": found, "torch": "torch" in sys.modules}))
"""


def test_the_demo_models_run_without_torch():
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert not said["torch"]
    scratch, align = said["found"]["scratch"], said["found"]["align"]
    assert align[0] > scratch[0] + 0.05 and min(align[1], scratch[1]) > 0.95


def test_other_texts_and_names_are_refused():
    encoder = load_encoder("demo:align")
    with pytest.raises(ModelError, match=r"not the text 'a dog'.*parabench train scenes-align"):
        encoder.encode_text(["a dog"])
    with pytest.raises(UsageError, match="did you mean 'align'"):
        load_encoder("demo:algn")
