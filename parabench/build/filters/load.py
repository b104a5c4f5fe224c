"""The filters that a configuration asks for, in the order in which they run: cheap ones first, memory last."""

from __future__ import annotations

from pathlib import Path

from parabench.build.filters.base import Filter
from parabench.build.filters.config import FilterConfig
from parabench.encoders.resolution import versions
from parabench.storage import sha256_file, sha256_json
from parabench.version import __version__

_PACKAGES = ("numpy", "rapidfuzz", "sacrebleu", "py3langid", "rensa", "torch", "transformers", "sentence-transformers")


def load_filters(config: FilterConfig, *, training_captions: Path | None = None) -> list[Filter]:
    """Make the filters, each fresh: those that compare candidates with earlier ones serve one run.

    Models are loaded when the first candidate needs them, training captions at once.

    Args:
        config: :meth:`FilterConfig.read`.
        training_captions: a file of captions that the benchmark must not share with a training set; without it
            there is no check of leakage.

    Raises:
        UsageError: the sentence encoder is a CLIP.
        DataError: training captions or word lists can't be read.
    """
    from parabench.build.filters.closeness import Closeness
    from parabench.build.filters.content import content_checks
    from parabench.build.filters.duplicates import Duplicates
    from parabench.build.filters.form import Characters, Junk, Language, Length
    from parabench.build.filters.wordlists import Pii, Toxicity

    filters: list[Filter] = []
    if config.characters.enabled:
        filters.append(Characters(config.characters))
    if config.junk.enabled:
        filters.append(Junk(config.junk))
    if config.length.enabled:
        filters.append(Length(config.length))
    if config.language.enabled:
        filters.append(Language(config.language))
    if config.toxicity.enabled:
        filters.append(Toxicity(config.toxicity))
    if config.pii.enabled:
        filters.append(Pii(config.pii))
    if config.closeness.enabled:
        filters.append(Closeness(config.closeness))
    filters += content_checks(config.numbers, config.colours, config.negation, config.names)
    if config.leakage.enabled and training_captions is not None:
        from parabench.build.filters.leakage import Leakage
        from parabench.build.filters.training_captions import read_training_captions

        filters.append(Leakage(config.leakage, read_training_captions(training_captions)))
    if config.semantic.enabled or config.semantic_duplicates.enabled:
        from parabench.build.filters.semantic import Semantic, SentenceVectors

        vectors = SentenceVectors(config.semantic)
        if config.semantic.enabled:
            filters.append(Semantic(config.semantic, vectors))
    if config.entailment.enabled:
        from parabench.build.filters.entailment import Entailment

        filters.append(Entailment(config.entailment))
    if config.duplicates.enabled:
        filters.append(Duplicates(config.duplicates))
    if config.semantic_duplicates.enabled:
        from parabench.build.filters.semantic_duplicates import SemanticDuplicates

        filters.append(SemanticDuplicates(config.semantic_duplicates, vectors))
    return filters


def filters_fingerprint(config: FilterConfig, *, training_captions: Path | None = None) -> str:
    """SHA-256 of all that verdicts depend on beside the candidates: code, thresholds, lists, models, packages, training captions.

    Args:
        config, training_captions: as :func:`load_filters`.

    Raises:
        UsageError, MissingDependencyError, ModelError: a model that is asked for can't be had.
    """
    own = Path(__file__).parents[1]  # checks use what lies beside them in `build`
    files = [path for path in own.rglob("*") if path.suffix in (".py", ".txt", ".yaml")]
    files += [path.expanduser() for path in config.toxicity.files] + ([training_captions] if training_captions is not None else [])
    models = []
    if config.semantic.enabled or config.semantic_duplicates.enabled:
        from parabench.build.filters.semantic import SentenceVectors

        models.append(SentenceVectors(config.semantic).fingerprint)
    if config.entailment.enabled:
        from parabench.build.filters.entailment import Entailment

        models.append(Entailment(config.entailment).fingerprint)
    return sha256_json({
        "filters": config.model_dump(mode="json"), "files": sorted(sha256_file(path) for path in files if path.is_file()),
        "models": models, "packages": versions(_PACKAGES), "parabench": __version__,
    })  # fmt: skip
