"""``python -m parabench``."""

from parabench.cli import main

main()
