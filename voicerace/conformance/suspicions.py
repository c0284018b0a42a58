"""The suspected causes of a refusal, each as a question to a release, and the sessions that would show it. Data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Final, NamedTuple

from voicerace.experiments.checks import CASES

__all__ = ["PROBES", "SUSPICIONS", "Suspicion"]


class Suspicion(NamedTuple):
    """One question to a release."""

    question: str


SUSPICIONS: Final[dict[str, Suspicion]] = {
    "second-update": Suspicion("Does a connection ever see a second session.update?"),
    "second-create": Suspicion("Does the proxy ever send a second response.create for one turn, behind the same function calls?"),
    "flag-early": Suspicion("Does the proxy stop holding back session.update or the user's audio before response.done, at what it takes for the end?"),
    "update-while-active": Suspicion("Is session.update ever sent while a response is active?"),
    "commit-while-active": Suspicion("Is the user's audio ever committed, with a response.create behind it, while a response is active?"),
    "double-result": Suspicion("Is the result of one function call ever sent twice, and by whom?"),
    "another-path": Suspicion("Does a turn go wrong without any of these?"),
}  # fmt: skip

#: A gap behind the text or audio that is wide enough to act in; how wide it is in the real API nobody has published.
_WIDE: Final = {"gap_ms": 300, "tool_ms": 600, "reply_ms": 500, "reply_gap_ms": 300, "deadline_ms": 6000}
#: Speech long enough for a commit, in few frames. It ends inside a reply of 3 s, and behind the text of one of 500 ms.
_SPOKEN: Final = {
    "gap_ms": 300, "inject_ms": 20, "reply_gap_ms": 3000, "speech_ms": 800, "frame_ms": 200, "mic_tail_ms": 500,
    "deadline_ms": 6000,
}  # fmt: skip


def _probes() -> Iterator[Mapping[str, Any]]:
    for case in CASES:
        yield case.settings
    # Releases up to 0.10.4 ask for no modality, so their replies are audio. Text shows what response.output_text.done clears.
    for modality, settings_ms in product(("text", "session"), (50, 150, 245, 290, 350, 420, 480, 505, 530, 600, 700, 900)):
        yield {"scenario": "late-settings", "modality": modality, "times": {**_WIDE, "settings_ms": settings_ms}}
    # A reply comes on one side of the gap or on the other, by the release.
    for modality, tool_ms, reply_ms in product(("text", "audio"), (50, 400), (500, 3000)):
        yield {"scenario": "barge-in", "modality": modality, "times": {**_SPOKEN, "tool_ms": tool_ms, "reply_ms": reply_ms}}
    for modality, tool_ms in product(("text", "audio"), (10, 600)):
        yield {"preamble": True, "modality": modality, "times": {"gap_ms": 300, "tool_ms": tool_ms, "deadline_ms": 6000}}
    for handler, tool_ms in product(("return", "void_ref"), (50, 3000)):
        # The one published gap, and a reply of a second and a half.
        yield {
            "handler": handler,
            "times": {"gap_ms": 8, "upstream_rtt_ms": 70, "reply_ms": 1500, "tool_ms": tool_ms, "deadline_ms": 6000},
        }


#: Settings of `Session.of`: every kind of session that the acceptance test has, and what else a suspicion needs.
PROBES: Final = tuple(_probes())
