"""Path to an ending with times: its steps, the constraints between their moments, and times that satisfy the constraints.

The moment of every step is a variable. The bounds of a timer or message constrain the moments at which it was set and ended. A
timer that was cancelled or still runs adds constraints, too. Independent steps at one location are as far apart as the
constraints allow, so that a replay on a real clock has slack. The slack is found by a binary search over Bellman-Ford.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from voicerace.engine.schedule import Schedule
from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.search import Edge
from voicerace.experiments.explore.state import Choice, InFlightMessage, State, Timer
from voicerace.experiments.explore.state_store import LATE_US, actual, turned
from voicerace.experiments.explore.stepper import PATIENCE, Stepper
from voicerace.experiments.explore.zone import NEW
from voicerace.trace.recording import UPSTREAM_TO_PROXY, WIRES, Link

__all__ = ["TimedTrace", "TraceStep", "dated", "retraced", "schedule", "solved"]

#: Maximum useful slack in µs.
_SLACK_US: Final = 50_000
_HOST: Final = ("component", "app", "user")


class _Constraint(NamedTuple):
    """Moment `first` minus moment `second` is at most `most_us` minus `slacks` times the slack."""

    first: int
    second: int
    most_us: int
    slacks: int = 0


class TraceStep(NamedTuple):
    """Step of a trace: actor, description, choice, moment at which the event was set, and number of the event in a schedule."""

    actor: str
    what: str
    choice: Choice
    set_in: int
    number: int


@dataclass
class TimedTrace:
    """Path with the constraints on its times.

    Attributes:
        steps: steps in order. Moment 0 is the start, and moment n is the n-th step.
        constraints: constraints between the moments.
        unfinished: maximum duration in µs of each timer that did not end.
        invisible: (link, number) of each invisible message.
    """

    steps: list[TraceStep] = field(default_factory=list)
    constraints: list[_Constraint] = field(default_factory=list)
    unfinished: dict[tuple[str, str, int], int] = field(default_factory=dict)
    invisible: list[tuple[Link, int]] = field(default_factory=list)


def retraced(stepper: Stepper, path: Sequence[Edge], bounds: Bounds) -> TimedTrace:
    """Repeat the steps of a path, and return them with the constraints between their moments."""
    trace = TimedTrace()
    state = dated(stepper.start(), 0)
    last_at: dict[str, int] = {}
    for moment, each in enumerate(path, start=1):
        if each.choice is None:
            continue  # the start
        choice = actual(state, each.choice)
        before, state = state, stepper.step(state, choice)
        item: InFlightMessage | Timer | None
        if isinstance(choice, Link):
            item, interval = before.next_of(choice), bounds.wire(*choice)
            actor, what = choice.receiver, f"{item.kind if item else ''} from {choice.sender}"
        else:
            item, interval = before.timers[choice[0], choice[1]], bounds.timer(choice[2])
            actor, what = choice[0], f"{choice[2].removesuffix('_ms')} is over ({choice[1]})"
        set_in = item.moment if item is not None else None
        if item is None or set_in is None:
            raise RuntimeError(f"{choice} is not a possible next event")
        trace.steps.append(TraceStep(actor, what, choice, set_in, item.number))
        add = trace.constraints.append
        add(_Constraint(moment, set_in, interval[1]))
        add(_Constraint(set_in, moment, -interval[0]))
        location = "host" if actor in _HOST else "proxy" if actor == "forwarder" else actor
        add(_Constraint(moment - 1, moment, -1 if each.apart else 0))
        # A batch on a link with an exact delay arrives at once.
        before_it = trace.steps[-2] if len(trace.steps) > 1 else None
        together = before_it is not None and before_it.choice == choice and interval[0] == interval[1]
        if (previous := last_at.get(location)) is not None and previous != set_in and not together:
            add(_Constraint(previous, moment, 0, 1))
        last_at[location] = moment
        # The user's next input depends on the order of all observed messages.
        if choice == UPSTREAM_TO_PROXY or _changes_the_user(before, state):
            if (seen := last_at.get("seen")) is not None and seen != set_in and not together:
                add(_Constraint(seen, moment, 0, 1))
            last_at["seen"] = moment
        # The order of a user input and a message at the proxy matters.
        if actor in ("user", "proxy"):
            other = last_at.get("proxy" if actor == "user" else "user")
            if other is not None and other != set_in:
                add(_Constraint(other, moment, 0, 1))
            last_at[actor] = moment
        if each.late is not None and before.watch is not None:
            watch = before.watch
            add(_Constraint(watch, moment, -LATE_US - 1) if each.late else _Constraint(moment, watch, LATE_US))
        _dropped(trace, before, state, choice, moment, bounds)
        for wire in WIRES:
            trace.invisible += [(wire, f.number) for f in state.queues[wire] if f.moment is None]
        turned(stepper, before, state)
        state = dated(state, moment)
    for (actor, name), timer in state.timers.items():
        most = bounds.timer(timer.after)[1]
        trace.unfinished[actor, name, timer.number] = most
        trace.constraints.append(_Constraint(len(path), timer.moment, most))
    for wire in WIRES:
        flight = state.next_of(wire)
        if flight is not None and flight.moment is not None:
            trace.constraints.append(_Constraint(len(path), flight.moment, bounds.wire(*wire)[1]))
    return trace


def _changes_the_user(before: State, state: State) -> bool:
    """Return whether a step changes the state or the timers of the user."""
    own = ({which: each for which, each in one.timers.items() if which[0] == "user"} for one in (before, state))
    return before.keys["user"] != state.keys["user"] or next(own) != next(own)


def _dropped(trace: TimedTrace, before: State, state: State, choice: Choice, moment: int, bounds: Bounds) -> None:
    """Add the timers that were cancelled, replaced or dropped in this step before they ended."""
    for which, timer in before.timers.items():
        if (*which, timer.after) != choice and state.timers.get(which) != timer:
            most = bounds.timer(timer.after)[1]
            trace.unfinished[(*which, timer.number)] = most
            if which[0] not in ("upstream", "app") or which == PATIENCE or which in state.timers:
                # It would have ended later: at the same time, a replay would have its end first.
                trace.constraints.append(_Constraint(moment, timer.moment, most, 1))


def dated(state: State, moment: int) -> State:
    """Return the state with its `NEW` moments replaced by `moment`."""
    state.queues = {
        wire: tuple(f._replace(moment=moment) if f.moment == NEW else f for f in flights)
        for wire, flights in state.queues.items()
    }
    state.timers = {
        which: timer._replace(moment=moment) if timer.moment == NEW else timer for which, timer in state.timers.items()
    }
    state.watch = moment if state.watch == NEW else state.watch
    return state


def solved(trace: TimedTrace) -> tuple[list[int], int] | None:
    """Return (earliest times of all moments in µs with the largest slack, slack in µs), or None if no times exist.

    A cycle of constraints that contradict each other at one slack says how large the slack is at most (Newton's method for the
    minimum ratio cycle).
    """
    slack = _SLACK_US
    while True:
        times, cycle = _times(trace, slack)
        if times is not None:
            return times, slack
        most, slacks = sum(each.most_us for each in cycle), sum(each.slacks for each in cycle)
        if slacks == 0 or most < 0:
            return None
        slack = most // slacks


def _times(trace: TimedTrace, slack_us: int) -> tuple[list[int] | None, list[_Constraint]]:
    """Return the earliest times in µs by Bellman-Ford or, if no times satisfy the constraints, a cycle of constraints without
    solution. Each constraint gives the earliest time of its second moment."""
    count = len(trace.steps) + 1
    times = [0] * count
    causes: list[_Constraint | None] = [None] * count
    edges = [(each.first, each.second, each.most_us - each.slacks * slack_us, each) for each in trace.constraints]
    changed = -1
    for _ in range(count):
        changed = -1
        for first, second, most, cause in edges:
            # constraint: times[first] - times[second] <= most
            if times[first] - most > times[second]:
                times[second] = times[first] - most
                causes[second] = cause
                changed = second
        if changed < 0:
            return times, []
        if times[0] > 0:
            changed = 0
            break
    return None, _cycle(causes, changed)


def _cycle(causes: Sequence[_Constraint | None], moment: int) -> list[_Constraint]:
    """Return the constraints of the cycle to which the causes of a moment's time lead. No moment is before moment 0, so causes
    that lead from one without a cause to moment 0 are a cycle, too."""
    seen: dict[int, int] = {}
    found: list[_Constraint] = []
    while moment not in seen:
        seen[moment] = len(found)
        cause = causes[moment]
        if cause is None:
            return found
        found.append(cause)
        moment = cause.first
    return found[seen[moment] :]


def schedule(trace: TimedTrace, times_us: Sequence[int], bounds: Bounds) -> Schedule:
    """Return the durations of all timers and messages as a schedule."""
    timers: dict[tuple[str, str], dict[int, int]] = {}
    messages: dict[Link, dict[int, int]] = {wire: {} for wire in WIRES}
    for link, number in trace.invisible:
        messages[link][number] = bounds.wire(*link)[0] * 1000
    for moment, step in enumerate(trace.steps, start=1):
        lasts = (times_us[moment] - times_us[step.set_in]) * 1000
        if isinstance(step.choice, Link):
            messages[step.choice][step.number] = lasts
        else:
            timers.setdefault(step.choice[:2], {})[step.number] = lasts
    for (actor, name, number), most in trace.unfinished.items():
        timers.setdefault((actor, name), {}).setdefault(number, most * 1000)
    rows = {which: tuple(named.get(n) for n in range(max(named) + 1)) for which, named in timers.items()}
    return Schedule(rows, messages)
