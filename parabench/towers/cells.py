"""A fixed description of a picture by its colours and edges: an image trunk without parameters, weights or torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_CELLS = 8
_BINS = 4
WIDTH = 4 * (_BINS**3 + 8) + 16 * 16 * 3
"""Length of the vector that :func:`picture_features` gives."""


def picture_features(image: Any) -> NDArray[np.float32]:
    """Colour histograms and edge directions on a grid of 8 × 8 cells, over the picture and its halves; float32."""
    pixels = np.asarray(image.resize((128, 128)), np.float32) / 255
    levels = np.minimum((pixels * _BINS).astype(np.int64), _BINS - 1)
    colour = levels[..., 0] * _BINS * _BINS + levels[..., 1] * _BINS + levels[..., 2]
    dy, dx = np.gradient(pixels.mean(2))
    strength = np.hypot(dx, dy)
    direction = ((np.arctan2(dy, dx) + np.pi) / (2 * np.pi) * 8).astype(np.int64) % 8
    size = 128 // _CELLS
    rows, columns = np.indices((128, 128)) // size
    cell = rows * _CELLS + columns
    colours = np.bincount((cell * _BINS**3 + colour).ravel(), minlength=_CELLS**2 * _BINS**3).reshape(_CELLS, _CELLS, -1)
    edges = np.bincount((cell * 8 + direction).ravel(), strength.ravel(), _CELLS**2 * 8).reshape(_CELLS, _CELLS, -1)
    both = np.sqrt(np.concatenate([colours / size**2, edges / size], axis=2))
    half = _CELLS // 2
    regions = [both[:half].sum((0, 1)), both[half:].sum((0, 1)), both[:, :half].sum((0, 1)), both[:, half:].sum((0, 1))]
    grid = pixels.reshape(16, 8, 16, 8, 3).mean((1, 3)).ravel()
    features: NDArray[np.float32] = np.concatenate([*(region / 8 for region in regions), grid]).astype(np.float32)
    return features
