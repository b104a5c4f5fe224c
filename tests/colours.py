"""An encoder that knows colours, for tests that need one without a network."""

import numpy as np

COLOURS = {"red": (215, 40, 40), "blue": (40, 80, 215), "green": (40, 160, 60), "yellow": (240, 200, 40)}


class ByColour:
    """Sees how much of each colour is in a picture, and reads colour words; other words add a little noise."""

    spec, fingerprint, dim, cacheable = "by-colour", "by-colour-1", 8, False

    def encode_text(self, texts):
        vectors = np.zeros((len(texts), 8), np.float32)
        for row, text in enumerate(texts):
            noise = np.random.default_rng(sum(map(ord, text))).normal(size=4)
            vectors[row, :4] = [3.0 * (name in text) for name in COLOURS]
            vectors[row, 4:] = noise * (0.1 if "picture" in text else 2.0)
        return vectors

    def encode_images(self, images):
        vectors = np.zeros((len(images), 8), np.float32)
        for row, image in enumerate(images):
            pixels = np.asarray(image, np.float32).reshape(-1, 3)
            near = [6 * (np.abs(pixels - colour).sum(1) < 60).mean() for colour in COLOURS.values()]
            vectors[row] = [*near, *(pixels.mean(0) / 255), 0.5]
        return vectors
