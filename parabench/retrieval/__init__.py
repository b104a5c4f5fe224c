"""Embedding with a verified cache, exact search, and rankings as the portable result."""

from parabench.retrieval.cache import EmbeddingCache
from parabench.retrieval.embed import Embedder
from parabench.retrieval.gallery import rank
from parabench.retrieval.rankings import Rankings
from parabench.retrieval.search import GalleryIndex

__all__ = ["EmbeddingCache", "Embedder", "GalleryIndex", "Rankings", "rank"]
