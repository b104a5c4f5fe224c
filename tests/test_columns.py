"""Arrow columns laid out by hand equal those that pyarrow makes."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parabench.columns import column, table
from parabench.data.schema import GALLERY, PAIRS
from parabench.errors import DataError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCORE = st.fixed_dictionaries({"name": st.none() | TEXT, "value": st.none() | st.floats(allow_nan=False)})
KINDS = [
    (pa.string(), TEXT),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.bool_(), st.booleans()),
    (pa.list_(pa.string()), st.lists(st.none() | TEXT)),
    (pa.list_(pa.struct([("name", pa.string()), ("value", pa.float64())])), st.lists(st.none() | SCORE)),
]


@pytest.mark.parametrize(("kind", "values"), KINDS, ids=[str(kind) for kind, _ in KINDS])
def test_equals_pyarrow(kind, values):
    @settings(deadline=None)
    @given(st.lists(st.none() | values, max_size=20))
    def check(rows):
        made = column(rows, kind)
        made.validate(full=True)
        assert made.equals(pa.array(rows, kind))

    check()


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.bool_()], ids=str)
def test_numpy_arrays(kind):
    numbers = np.arange(20)[::3] % 2 if kind == pa.bool_() else np.arange(20)[::3]
    assert column(numbers, kind).equals(pa.array(numbers.tolist(), pa.int64()).cast(kind))


def test_a_table_has_exactly_the_schema():
    rows = [{"image_id": "1", "width": 3, "captions": ["a", "b"], "more": 1}, {"image_id": "2"}]
    made = table(rows, GALLERY)
    made.validate(full=True)
    assert made.equals(pa.Table.from_pylist([{n: r.get(n) for n in GALLERY.names} for r in rows], schema=GALLERY))
    assert table([], PAIRS).equals(PAIRS.empty_table())


def test_broken_unicode_is_named():
    with pytest.raises(DataError, match=r"column 'caption': .*not valid Unicode"):
        table([{"caption": "half \ud83d a pair"}], PAIRS)


def test_an_evaluation_from_the_cache_imports_neither_torch_nor_pandas(tmp_path):
    (tmp_path / "pairs.csv").write_text("image_id,caption,paraphrase\n1,a b,b a\n2,c d,d c\n")
    code = (
        "import sys; from parabench.cli import main\n"
        "try: main(['evaluate', '-m', 'random:8', '-d', 'pairs.csv', '-o', 'run', '--metrics', 'AO@2', '--no-report'])\n"
        "finally: print([name for name in ('torch', 'pandas', 'matplotlib', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
