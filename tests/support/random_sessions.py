"""Random sessions within the bounds of an exploration, which must have no signature that the exploration did not find."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from voicerace.engine.schedule import Schedule
from voicerace.engine.sim.virtual import VirtualEngine
from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.signature import Signature, signatures
from voicerace.experiments.explore.stories import session_of
from voicerace.trace.recording import WIRES

__all__ = ["drawn", "missed"]

#: Upper ends of the drawn values, as parts of an interval's width. Small parts make events meet more often.
_PARTS = (1, 1, 0.3, 0.1, 0.03, 0.01)


def drawn(release: str, story: str, handler: str, bounds: Bounds, seed: int) -> tuple[Signature, ...]:
    """Return the signatures of a random session within `bounds`, with independent durations and message delays."""
    rng = random.Random(seed)
    session = session_of(story, handler, release)
    times = bounds.within(session.times)
    texts = times.to_json()
    for name in times.values:
        if name in bounds.by_name:
            low, high = bounds.by_name[name]
            top = low + (high - low) * rng.choice(_PARTS)
            texts[name] = f"uniform({low / 1000},{top / 1000})" if high > low else f"{low / 1000}"
    messages = {}
    for wire in WIRES:
        low, high = bounds.wire(*wire)
        top = low + (high - low) * rng.choice((1, 1, 0.3, 0.05))
        messages[wire] = {number: int(rng.uniform(low, top) * 1000) for number in range(400)}
    session = replace(session, times=times.of(texts), seed=seed)
    return signatures(VirtualEngine(session, schedule=Schedule({}, messages)).run(), session.release)


def missed(
    release: str, pairs: Sequence[tuple[str, str, Bounds]], found: Collection[Signature], sessions: int, seed: int = 0
) -> Iterator[tuple[str, str, int, Signature]]:
    """Play `sessions` random sessions, in turn of each pair (scenario, handler, bounds). Yield (scenario, handler, seed,
    signature) of each signature that is not in `found`."""
    for number in range(seed, seed + sessions):
        story, handler, bounds = pairs[number % len(pairs)]
        for signature in drawn(release, story, handler, bounds, number):
            if signature not in found:
                yield story, handler, number, signature
