"""The path to an ending with times: its steps, the constraints between their moments, and times that meet all of them.

Every step is a variable. What was set in one step and ended in another lies between them for as long as its bounds say;
what was dropped, or still ran, had not run out. Steps that meet at one place and have nothing to do with each other are
kept as far apart as all that allows, so that a replay on a real clock has room: binary search over Bellman-Ford.
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

#: Room beyond which nothing is gained, µs.
_ROOM_US: Final = 50_000
_HOST: Final = ("component", "app", "user")
#: Each of its messages may be what the user waits for.


class _Constraint(NamedTuple):
    """Moment `first` minus moment `second` is at most `most_us`, less `rooms` times the room."""

    first: int
    second: int
    most_us: int
    rooms: int = 0


class TraceStep(NamedTuple):
    """One step: at whose place, what happened, and what of it a schedule names: set in which step, which number."""

    actor: str
    what: str
    choice: Choice
    set_in: int
    number: int


@dataclass
class TimedTrace:
    """A path, retraced.

    Attributes:
        steps: in order; moment 0 is the start, moment n the n-th step.
        constraints: between the moments.
        left: what ran without coming to its end: timer -> the most it may last, µs.
        unminded: messages without a time of their own, by link and number.
    """

    steps: list[TraceStep] = field(default_factory=list)
    constraints: list[_Constraint] = field(default_factory=list)
    left: dict[tuple[str, str, int], int] = field(default_factory=dict)
    unminded: list[tuple[Link, int]] = field(default_factory=list)


def retraced(stepper: Stepper, way: Sequence[Edge], bounds: Bounds) -> TimedTrace:
    """Repeat the steps of a path and collect the constraints between them."""
    course = TimedTrace()
    at = dated(stepper.start(), 0)
    last_at: dict[str, int] = {}
    for moment, each in enumerate(way, start=1):
        if each.choice is None:
            continue  # the start
        choice = actual(at, each.choice)
        before, at = at, stepper.step(at, choice)
        item: InFlightMessage | Timer | None
        if isinstance(choice, Link):
            item, interval = before.next_of(choice), bounds.wire(*choice)
            actor, what = choice.receiver, f"{item.kind if item else ''} from {choice.sender}"
        else:
            item, interval = before.timers[choice[0], choice[1]], bounds.timer(choice[2])
            actor, what = choice[0], f"{choice[2].removesuffix('_ms')} is over ({choice[1]})"
        set_in = item.moment if item is not None else None
        if item is None or set_in is None:
            raise RuntimeError(f"{choice} is not what could happen next")
        course.steps.append(TraceStep(actor, what, choice, set_in, item.number))
        add = course.constraints.append
        add(_Constraint(moment, set_in, interval[1]))
        add(_Constraint(set_in, moment, -interval[0]))
        place = "host" if actor in _HOST else actor
        add(_Constraint(moment - 1, moment, -1 if each.apart else 0))
        # On a link of one exact delay a batch arrives at once.
        before_it = course.steps[-2] if len(course.steps) > 1 else None
        together = before_it is not None and before_it[2:4] == (choice, set_in) and interval[0] == interval[1]
        if (met := last_at.get(place)) is not None and met != set_in and not together:
            add(_Constraint(met, moment, 0, 1))
        last_at[place] = moment
        # The user's next input depends on the order of all that the user observes, wherever it happens.
        if choice == UPSTREAM_TO_PROXY or _changes_the_user(before, at):
            if (seen := last_at.get("seen")) is not None and seen != set_in and not together:
                add(_Constraint(seen, moment, 0, 1))
            last_at["seen"] = moment
        # The user observes the proxy: an input comes before or after a message there.
        if actor in ("user", "proxy"):
            other = last_at.get("proxy" if actor == "user" else "user")
            if other is not None and other != set_in:
                add(_Constraint(other, moment, 0, 1))
            last_at[actor] = moment
        if each.late is not None and before.watch is not None:
            watch = before.watch
            add(_Constraint(watch, moment, -LATE_US - 1) if each.late else _Constraint(moment, watch, LATE_US))
        _dropped(course, before, at, choice, moment, bounds)
        for wire in WIRES:
            course.unminded += [(wire, f.number) for f in at.queues[wire] if f.moment is None]
        turned(stepper, before, at)
        at = dated(at, moment)
    for (actor, name), timer in at.timers.items():
        most = bounds.timer(timer.after)[1]
        course.left[actor, name, timer.number] = most
        course.constraints.append(_Constraint(len(way), timer.moment, most))
    for wire in WIRES:
        flight = at.next_of(wire)
        if flight is not None and flight.moment is not None:
            course.constraints.append(_Constraint(len(way), flight.moment, bounds.wire(*wire)[1]))
    return course


def _changes_the_user(before: State, at: State) -> bool:
    """Whether a step changes what the user knows, or when he will say something."""
    own = ({which: each for which, each in one.timers.items() if which[0] == "user"} for one in (before, at))
    return before.keys["user"] != at.keys["user"] or next(own) != next(own)


def _dropped(course: TimedTrace, before: State, at: State, choice: Choice, moment: int, bounds: Bounds) -> None:
    """Timers that were cancelled, replaced or let go in this step: they had not run out."""
    for which, timer in before.timers.items():
        if (*which, timer.after) != choice and at.timers.get(which) != timer:
            most = bounds.timer(timer.after)[1]
            course.left[(*which, timer.number)] = most
            if which[0] not in ("upstream", "app") or which == PATIENCE or which in at.timers:
                course.constraints.append(_Constraint(moment, timer.moment, most))


def dated(at: State, moment: int) -> State:
    """What was set in this step gets its number."""
    at.queues = {
        wire: tuple(f._replace(moment=moment) if f.moment == NEW else f for f in flights) for wire, flights in at.queues.items()
    }
    at.timers = {which: timer._replace(moment=moment) if timer.moment == NEW else timer for which, timer in at.timers.items()}
    at.watch = moment if at.watch == NEW else at.watch
    return at


def solved(course: TimedTrace) -> tuple[list[int], int] | None:
    """The earliest times of all moments, in µs, with the most room between steps that meet; and that room. None: no times."""
    low, high = 0, _ROOM_US
    best = _times(course, low)
    if best is None:
        return None
    while low < high:
        middle = (low + high + 1) // 2
        found = _times(course, middle)
        if found is None:
            high = middle - 1
        else:
            low, best = middle, found
    return best, low


def _times(course: TimedTrace, room_us: int) -> list[int] | None:
    """The earliest times, by Bellman-Ford: each constraint says how early its second moment may be at the earliest."""
    count = len(course.steps) + 1
    times = [0] * count
    edges = [(each.first, each.second, each.most_us - each.rooms * room_us) for each in course.constraints]
    for _ in range(count + 1):
        changed = False
        for first, second, most in edges:
            # times[first] - times[second] <= most
            if times[first] - most > times[second]:
                times[second] = times[first] - most
                changed = True
        if not changed:
            return times if times[0] == 0 else None
        if times[0] > 0:
            return None
    return None


def schedule(course: TimedTrace, times_us: Sequence[int], bounds: Bounds) -> Schedule:
    """The times as what every single timer and message lasts."""
    timers: dict[tuple[str, str], dict[int, int]] = {}
    messages: dict[Link, dict[int, int]] = {wire: {} for wire in WIRES}
    for over, number in course.unminded:
        messages[over][number] = bounds.wire(*over)[0] * 1000
    for moment, step in enumerate(course.steps, start=1):
        lasts = (times_us[moment] - times_us[step.set_in]) * 1000
        if isinstance(step.choice, Link):
            messages[step.choice][step.number] = lasts
        else:
            timers.setdefault(step.choice[:2], {})[step.number] = lasts
    for (actor, name, number), most in course.left.items():
        timers.setdefault((actor, name), {}).setdefault(number, most * 1000)
    rows = {which: tuple(named.get(n) for n in range(max(named) + 1)) for which, named in timers.items()}
    return Schedule(rows, messages)
