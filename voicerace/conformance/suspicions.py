"""Suspected causes of a refusal as questions about a release, and sessions that can show these causes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Final, NamedTuple

from voicerace.experiments.checks import CASES

__all__ = ["PROBES", "SUSPICIONS", "Suspicion"]


class Suspicion(NamedTuple):
    """A suspected cause of a refusal, as a question about a release."""

    question: str


SUSPICIONS: Final[dict[str, Suspicion]] = {
    "second-update": Suspicion("Does a connection ever see a second session.update?"),
    "second-create": Suspicion("Does the proxy ever send a second response.create for the same function calls?"),
    "flag-early": Suspicion("Does the proxy stop holding back session.update or the user's audio before response.done?"),
    "update-while-active": Suspicion("Is session.update ever sent while a response is active?"),
    "commit-while-active": Suspicion("Is the user's audio ever committed, followed by response.create, while a response is active?"),
    "double-result": Suspicion("Is the result of one function call ever sent twice, and by whom?"),
    "another-path": Suspicion("Does a turn go wrong without any of these?"),
}  # fmt: skip

#: Times in ms. The gap after the text or audio is long enough for other events. No recording has such a long gap.
_WIDE: Final = {"gap_ms": 300, "tool_ms": 600, "reply_ms": 500, "reply_gap_ms": 300, "deadline_ms": 6000}
#: Times in ms. The speech is long enough for a commit and has few frames. The speech ends within a reply of 3 s, and after
#: the text of a reply of 500 ms.
_SPOKEN: Final = {
    "gap_ms": 300, "inject_ms": 20, "reply_gap_ms": 3000, "speech_ms": 800, "frame_ms": 200, "mic_tail_ms": 500,
    "deadline_ms": 6000,
}  # fmt: skip


def _probes() -> Iterator[Mapping[str, Any]]:
    for case in CASES:
        yield case.settings
    # releases up to 0.10.4 request no modality, so replies are audio;
    # the text sessions show the effect of response.output_text.done
    for modality, settings_ms in product(("text", "session"), (50, 150, 245, 290, 350, 420, 480, 505, 530, 600, 700, 900)):
        yield {"scenario": "late-settings", "modality": modality, "times": {**_WIDE, "settings_ms": settings_ms}}
    # whether a reply starts before or after the gap depends on the release
    for modality, tool_ms, reply_ms in product(("text", "audio"), (50, 400), (500, 3000)):
        yield {"scenario": "barge-in", "modality": modality, "times": {**_SPOKEN, "tool_ms": tool_ms, "reply_ms": reply_ms}}
    for modality, tool_ms in product(("text", "audio"), (10, 600)):
        yield {"preamble": True, "modality": modality, "times": {"gap_ms": 300, "tool_ms": tool_ms, "deadline_ms": 6000}}
    for handler, tool_ms in product(("return", "void_ref"), (50, 3000)):
        # the gap in the published log of OpenAI's beta API (docs/protocol-facts.md)
        yield {
            "handler": handler,
            "times": {"gap_ms": 8, "upstream_rtt_ms": 70, "reply_ms": 1500, "tool_ms": tool_ms, "deadline_ms": 6000},
        }


#: Arguments of `SessionConfig.of` for the sessions of the acceptance test, and for further sessions that show suspicions.
PROBES: Final = tuple(_probes())
