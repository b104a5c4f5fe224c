"""Where the repository is, and where real data is looked for."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("PARABENCH_SHARED", REPOSITORY.parent / "shared" / "data"))
