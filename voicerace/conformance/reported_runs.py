"""Runs against the real OpenAI API that the proxy's maintainers documented in their repository.

Source: Signal-Meaning/dg_react_agent, `docs/issues/`, at commit 92ea3ea. The program of each run is the proxy's source at the
named revision. A run is `exact` if its release has the hash of that source (`engine.live.source.source_hash`). Otherwise both
sources implement the same rules. The test app is `test-app/src/App.tsx` at that revision. Until 25421e4 its handler calls
`forwardFunctionCallToBackend(request, sendResponse, ...)` and returns nothing (`void_send`); from d931630 on it returns the
promise of that call (`async_send`). The integration test is a WebSocket client that sends one result after an HTTP request
to a server in its own process, also modelled as `async_send`.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

__all__ = ["DOCUMENTS", "REPORTED", "RUN_TIMES", "Reported"]

#: URL of the folder that contains the documents of `Reported.source`.
DOCUMENTS: Final = "https://github.com/Signal-Meaning/dg_react_agent/blob/92ea3ea/docs/issues/"

#: Client -> times in ms, in addition to the recorded times of the API. App, component and proxy run on one machine.
RUN_TIMES: Final[dict[str, dict[str, str]]] = {
    # the tool is an HTTP request from a browser to a backend on the same machine
    "app": {"host_rtt_ms": "uniform(0,2)", "tool_ms": "uniform(8,60)"},
    # client, proxy and HTTP server run in one Node.js process, whose first request takes longest
    "test": {"host_rtt_ms": "uniform(0,1)", "tool_ms": "uniform(1,60)"},
}


class Reported(NamedTuple):
    """One documented run.

    Attributes:
        date: date of the run, or of the document if the run's date is not documented.
        what: name of the test, for example ``E2E 6b``.
        revision: tag or commit of the maintainers' repository.
        row: tag of the release in the table of this project.
        exact: whether the release has the hash of the run's proxy source.
        client: ``app``, the test app with the component; ``test``, the integration test.
        handler: handler style of the client.
        seen: summary of the documented result.
        host_errors: number of errors at the host; None if the document does not give the number.
        outcomes: outcomes of the turn that agree with the document; empty if the document states no outcome to compare.
        source: the documents, relative to ``docs/issues/``.
        why_not: information that a comparison needs but the document lacks; empty if nothing is missing.
    """

    date: str
    what: str
    revision: str
    row: str
    exact: bool
    client: Literal["app", "test"]
    handler: str
    seen: str
    host_errors: int | None
    outcomes: tuple[str, ...]
    source: str
    why_not: str = ""

    @property
    def documents(self) -> tuple[str, ...]:
        """The paths in `source`, without the chapters in parentheses."""
        return tuple(part.partition(" ")[0] for part in self.source.split(", "))

    @property
    def decides(self) -> bool:
        return not self.why_not


#: Outcomes in which the host gets a reply that uses the result.
_HEARD: Final = ("answered", "noisy", "duplicated", "late")

REPORTED: Final[tuple[Reported, ...]] = (
    Reported(
        "2026-02-16", "E2E 6b", "d8a1782", "0.9.3", True, "app", "void_send",
        "one error at the app, 'Conversation already has an active response in progress'",
        1, (), "ISSUE-470/TDD-PLAN.md (Phase 1.2), ISSUE-470/INVESTIGATION.md",
    ),
    Reported(
        "2026-02-16", "E2E 6b", "v0.9.5", "0.9.5", True, "app", "void_send",
        "passed: it asserts that the app got no error, and any text",
        0, (), "ISSUE-462/RELEASE-CHECKLIST-v0.9.5.md",
    ),
    Reported(
        "2026-02-16", "integration #470", "v0.9.5", "0.9.5", True, "test", "async_send",
        "no assistant response within 60 s of the result, no refusal",
        0, ("stalled",), "ISSUE-462/RELEASE-CHECKLIST-v0.9.5.md",
    ),
    Reported(
        "2026-02-17", "E2E 6 and 6b", "2d78db6", "0.9.5", True, "app", "void_send",
        "passed: the app's last reply has the time",
        0, _HEARD, "ISSUE-478/TRACKING.md (Phase 2)",
        "the document does not say that this run had the real API",
    ),
    Reported(
        "2026-03-07", "E2E 6 and 6b", "458fed4", "0.10.0", False, "app", "void_send",
        "the greeting stays; no reply is shown",
        None, (), "ISSUE-489/E2E-FAILURES-RESOLUTION.md",
        "the proxy of that day is no row, and did not yet pass on the text of a spoken reply",
    ),
    Reported(
        "2026-03-08", "E2E 6 and 6b", "25421e4", "0.10.0", True, "app", "void_send",
        "the reply is about the component's error; two outputs per call in the proxy's log, the error first",
        None, ("stale",), "ISSUE-489/TDD-PLAN-3-REMAINING-OPENAI-PROXY-FAILURES.md",
    ),
    Reported(
        "2026-03-08", "integration #470", "25421e4", "0.10.0", True, "test", "async_send",
        "passed in 4.3 s: a reply with the result",
        0, _HEARD, "ISSUE-489/TDD-PLAN-3-REMAINING-OPENAI-PROXY-FAILURES.md",
    ),
    Reported(
        "2026-03-08", "E2E 6 and 6b", "d931630", "0.10.0", True, "app", "async_send",
        "passed: the reply has the time, no error",
        0, _HEARD, "ISSUE-489/TDD-PLAN-3-REMAINING-OPENAI-PROXY-FAILURES.md",
    ),
    Reported(
        "2026-03-11", "E2E 6 and 6b", "58f2e9a", "50420ee", True, "app", "async_send",
        "no reply, no error; the app stays in 'thinking'; response.done stands before the tool's HTTP request in the log",
        0, ("stalled",), "ISSUE-522/FINDINGS.md",
    ),
    Reported(
        "2026-03-11", "integration #470", "58f2e9a", "50420ee", True, "test", "async_send",
        "passed in 4.0 s: a reply with the result",
        0, _HEARD, "ISSUE-522/FINDINGS.md",
    ),
    Reported(
        "2026-03-12", "E2E 6 and 6b", "774a5b5", "0.10.3", False, "app", "async_send",
        "passed: the reply has the time, no error",
        0, _HEARD, "ISSUE-522/FINDINGS.md (E2E validation)",
    ),
    Reported(
        "2026-03-12", "integration #470", "v0.10.3", "0.10.3", True, "test", "async_send",
        "passed",
        0, _HEARD, "ISSUE-522/RELEASE-CHECKLIST.md",
    ),
    Reported(
        "2026-03-21", "integration #470", "v0.10.5", "0.10.5", True, "test", "async_send",
        "passed",
        0, _HEARD, "ISSUE-544/RELEASE-CHECKLIST.md",
    ),
    Reported(
        "2026-03-28", "integration #470", "e338ff6", "0.10.5", True, "test", "async_send",
        "failed: no text of a reply after the result; by their analysis it came in response.output_text.done alone",
        0, ("stalled", "lost", "rejected", "failed"), "epic-546/ISSUE-555-OPENAI-REAL-API-REGRESSION/TRACKING.md",
    ),
    Reported(
        "2026-03-28", "E2E 6 and 6b", "3018992", "0.10.6", True, "app", "async_send",
        "passed: the reply has the result's token, no error",
        0, _HEARD, "epic-546/ISSUE-555-OPENAI-REAL-API-REGRESSION/TRACKING.md",
    ),
    Reported(
        "2026-03-28", "integration #470", "3018992", "0.10.6", True, "test", "async_send",
        "passed: the reply has the result's token",
        0, _HEARD, "epic-546/ISSUE-554/TRACKING.md",
    ),
    Reported(
        "2026-04-09", "integration #470", "v0.11.0", "0.11.0", True, "test", "async_send",
        "passed, after one answer 504 of the API and another try",
        0, _HEARD, "ISSUE-570/RELEASE-CHECKLIST.md",
    ),
    Reported(
        "2026-04-09", "E2E 6 and 6b", "v0.11.0", "0.11.0", True, "app", "async_send",
        "passed",
        0, _HEARD, "ISSUE-570/RELEASE-CHECKLIST.md",
    ),
)  # fmt: skip
