"""The built-in benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from parabench.data.benchmark import Benchmark
from parabench.registry import Registry

Loader = Callable[..., Benchmark]


@dataclass(frozen=True)
class Entry:
    """What `parabench datasets` says of a built-in set."""

    name: str
    target: str
    about: str
    needs: str
    license: str
    size: str


CATALOG = (
    Entry(
        "scenes",
        "parabench.data.scenes:load_scenes",
        "1,800 rendered pictures with captions, paraphrases and foils; test wording held out of training",
        "nothing",
        "CC0-1.0",
        "8,400 pairs, 1,800 pictures",
    ),
    Entry(
        "coco-paraphrase",
        "parabench.data.sources.coco_paraphrase:load_coco_paraphrase",
        "paraphrases (lexical, syntactic) and foils of one caption of each COCO val2017 picture",
        "captions_val2017.json (downloaded); val2017 pictures for image encoders",
        "CC BY 4.0",
        "9,212 pairs, 4,819 foils, 5,000 pictures",
    ),
    Entry(
        "coco-cxc",
        "parabench.data.sources.coco_cxc:load_coco_cxc",
        "pairs of COCO captions that people rated as meaning the same (?min_rating=4)",
        "sts_val.csv of Crisscrossed Captions, COCO Karpathy val",
        "CC BY 4.0 (captions)",
        "3,348 pairs, 5,000 pictures",
    ),
    Entry(
        "sugarcrepe-pp",
        "parabench.data.sources.sugarcrepe_pp:load_sugarcrepe_pp",
        "validated caption pairs with a hard foil, by swapped object, relation or attribute",
        "replace_obj/rel/att.json of SugarCrepe++",
        "MIT",
        "3,723 pairs, 3,844 foils, 973 pictures (three files)",
    ),
    Entry(
        "flickr8k",
        "parabench.data.sources.flickr8k:load_flickr8k",
        "paraphrases and foils of Flickr8k captions",
        "Flickr8k.token.txt",
        "Flickr8k terms; paraphrases CC BY 4.0",
        "956 test and 1,982 train pairs, 1,091 pictures",
    ),
    Entry(
        "coco-karpathy",
        "parabench.data.sources.karpathy:load_coco_karpathy",
        "captions to search by, no paraphrases: COCO 5k, first five captions a picture (?split=val)",
        "dataset_coco.json (or coco_karpathy_test.json) of the Karpathy splits, val2014 pictures",
        "CC BY 4.0 (captions)",
        "25,000 captions, 5,000 pictures in test",
    ),
    Entry(
        "flickr30k-karpathy",
        "parabench.data.sources.karpathy:load_flickr30k_karpathy",
        "captions to search by, no paraphrases: Flickr30k 1k, five captions a picture (?split=val)",
        "dataset_flickr30k.json of the Karpathy splits, the pictures",
        "Flickr30k terms",
        "5,000 captions, 1,000 pictures in test",
    ),
    Entry(
        "flickr8k-karpathy",
        "parabench.data.sources.karpathy:load_flickr8k_karpathy",
        "captions to search by, no paraphrases: Flickr8k 1k, five captions a picture (?split=val)",
        "Flickr8k.token.txt with the official lists (or dataset_flickr8k.json), the pictures",
        "Flickr8k terms",
        "5,000 captions, 1,000 pictures in test",
    ),
)

DATASETS: Registry[Loader] = Registry(
    "dataset", {entry.name: entry.target for entry in CATALOG}, group="parabench.datasets"
)
