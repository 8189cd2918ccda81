# SPDX-License-Identifier: BSD-2-Clause
"""Medians, and how sure they are."""
import random
import statistics


def interval(values, confidence=0.95, draws=2000, seed=1):
    """(low, high) of the median, by bootstrap. Few values give a wide one, one value itself."""
    chance = random.Random(seed)
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(draws))
    cut = int((1 - confidence) / 2 * draws)
    return medians[cut], medians[-1 - cut]


def summary(values):
    low, high = interval(values)
    return {"median": statistics.median(values), "low": low, "high": high, "min": min(values), "max": max(values),
            "rounds": len(values)}
