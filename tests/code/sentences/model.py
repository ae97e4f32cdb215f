"""Embeds a text by its length, its words and its vowels."""

import numpy as np


def predict_batch(inputs):
    rows = [(len(text), len(text.split()), sum(text.count(vowel) for vowel in "aeiou") / 4) for text in inputs["text"]]
    return {"texts": inputs["text"], "vector": np.array(rows, np.float64)}
