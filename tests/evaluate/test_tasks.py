"""Tasks beside paraphrased retrieval, as their users ask for them."""

import os
import subprocess
import sys

import pytest

import parabench
from parabench.errors import DataError, ModelError, ParabenchError, UsageError
from parabench.evaluate import Run, rescore


def cli(*arguments, cwd, **env):
    return subprocess.run([sys.executable, "-m", "parabench", "evaluate", *map(str, arguments)], capture_output=True, text=True,
                          cwd=cwd, env={**os.environ, **env}, timeout=300)  # fmt: skip

def test_a_text_only_encoder_says_what_it_skipped(colours, sentences, tmp_path):
    done = cli("-m", "tfidf:", "--tasks", "sts,zeroshot", "--task-data", f"sts={sentences}", "--task-data", f"zeroshot={colours}",
               "--resamples", 20, "-o", tmp_path / "run", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "zeroshot was skipped" in said and "no image tower" in said and "STS-B test" in said
    with pytest.raises(ModelError, match="nothing could be measured: tfidf: has no image tower"):
        parabench.evaluate("tfidf:", tasks=["zeroshot"], task_data={"zeroshot": colours}, out=tmp_path / "alone")


def test_tasks_beside_a_dataset(sentences, tmp_path):
    (tmp_path / "pairs.csv").write_text("image_id,caption,paraphrase\n" + "".join(f"{n},red boat {n},crimson ship {n}\n" for n in range(12)))
    run = parabench.evaluate("random:8", tmp_path / "pairs.csv", tasks=["paraphrase", "retrieval", "sts"], task_data={"sts": sentences},
                             out=tmp_path / "run", n_resamples=50)  # fmt: skip
    assert set(run.result.tasks) == {"paraphrase", "retrieval", "sts"} and set(run.result.files) == {"pairs.parquet", "rankings.parquet", "sts.parquet"}
    assert rescore(Run.load(tmp_path / "run")).tasks == run.result.tasks
    alone = parabench.evaluate("random:8", tmp_path / "pairs.csv", tasks=["sts"], task_data={"sts": sentences}, out=tmp_path / "alone", n_resamples=50)
    assert alone.result.tasks["sts"].metrics == run.result.tasks["sts"].metrics, "a task does not depend on those beside it"
    assert set(alone.result.files) == {"sts.parquet"} and alone.result.dataset.name == "sts"
    with pytest.raises(DataError, match="has no rankings"):
        _ = alone.rankings
    only = parabench.evaluate("random:8", tmp_path / "pairs.csv", tasks=["retrieval"], out=tmp_path / "only", n_resamples=50)
    assert set(only.result.tasks) == {"retrieval"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [(["--tasks", "sst"], 2, "did you mean 'sts'"), (["--tasks", ","], 2, "no task"), (["--tasks", "sts", "--task-data", "sts"], 2, "TASK=PATH"),
     (["--tasks", "sts", "--task-data", "human=x"], 2, "not among the tasks"), (["--tasks", "sts", "--task-data", "sts=nowhere"], 1, "nowhere"),
     (["--tasks", "zeroshot"], 2, "--task-data zeroshot=DIR"), (["--tasks", "zeroshot", "--task-data", "zeroshot=nowhere"], 1, "nowhere"),
     (["--task-data", "paraphrase=x"], 2, "--dataset"), (["--tasks", "retrieval", "--task-data", "retrieval=x", "-d", "pairs.csv"], 2, "coco-karpathy"),
     (["--tasks", "compositional"], 1, "no SugarCrepe++"), (["--tasks", "human"], 1, "sts_val.csv was not found"), (["-d", "coco-karpathy?split=tset"], 2, "no split")],
)  # fmt: skip
def test_wrong_usage_is_one_clear_line(tmp_path, arguments, code, message):
    (tmp_path / "pairs.csv").write_text("image_id,caption,paraphrase\n1,a dog,one dog\n2,a cat,one cat\n")
    done = cli("-m", "random:8", *arguments, cwd=tmp_path, PARABENCH_SHARED="", PARABENCH_DATA="")
    assert done.returncode == code and message in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_errors_are_of_the_documented_kind(tmp_path):
    with pytest.raises(UsageError):
        parabench.evaluate("random:8", tasks=[], out=tmp_path)
    with pytest.raises(ParabenchError, match="no such folder of pictures"):
        parabench.evaluate("random:8", tasks=["human"], images=[tmp_path / "no"], out=tmp_path)
