"""Benchmarks on the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from parabench.data.benchmark import Benchmark
from parabench.data.release import read_release
from parabench.errors import DataError, UsageError


def read_hub(name: str, *, endpoint: str | None = None) -> Benchmark:
    """Download and read the tables of a Hub dataset, ``owner/name`` or ``owner/name@revision``.

    Raises:
        UsageError: there is no such dataset, or it is private.
        DataError: the Hub can't be reached and the dataset is not in its cache, or holds no benchmark.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    repository, _, revision = name.partition("@")
    remedy = "check the network (and HF_HUB_OFFLINE), or give a local folder"
    try:
        folder = Path(
            snapshot_download(
                repository, repo_type="dataset", revision=revision or None, endpoint=endpoint,
                allow_patterns=["README.md", "*.parquet", "**/*.parquet"],
            )
        )  # fmt: skip
    except HFValidationError:
        raise UsageError(
            f"'{name}' is neither a file, a built-in dataset nor a Hub id", "a Hub id is owner/name"
        ) from None
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise UsageError(
            f"the Hub has no dataset '{name}', or it is private", "check the name, or `hf auth login`"
        ) from None
    except HfHubHTTPError as error:
        raise DataError(f"the Hub refused the dataset '{name}': {error}", remedy) from error
    except Exception as error:
        # Offline, the client raises one of several classes by version, none of which says more than this.
        raise DataError(
            f"can't download the dataset '{name}' from the Hub: {type(error).__name__}: {error}", remedy
        ) from error
    benchmark = read_release(folder, name=repository.rpartition("/")[2])
    return replace(
        benchmark,
        provenance=f"{name} (Hugging Face Hub, revision {folder.name[:12]}, "
        f"{benchmark.pairs.num_rows} pairs, {benchmark.gallery.num_rows} pictures)",
    )
