"""Test that files keep recordings and data frames unchanged, and that cut and broken files give a prefix or an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.played import play

from voicerace.errors import InputError
from voicerace.trace.gzip_reader import Unpacked
from voicerace.trace.recording import LINKS, Event, Link, Recording, link, read_recordings, write_recordings

TEXT = st.text(st.characters())  # includes lone surrogates, which a log can contain
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=4)
MESSAGE = OBJECT | st.builds(lambda kind, rest: {"type": kind, **rest}, TEXT, OBJECT)
NS = st.none() | st.integers(-(2**63), 2**63 - 1)


@st.composite
def events(draw: st.DrawFn, seq: int) -> Event:
    closing = draw(st.booleans())
    payload = {"code": draw(st.none() | st.integers(1000, 4999))} if closing else draw(MESSAGE | st.binary() | TEXT | st.none())
    where = draw(st.sampled_from(["engine", "relay", "log", "derived"]) | TEXT)
    return Event(
        seq, draw(st.sampled_from(LINKS)), "close" if closing else "message", draw(NS), draw(NS), payload, where
    )  # fmt: skip


@st.composite
def recordings(draw: st.DrawFn, *, max_events: int = 6) -> Recording:
    return Recording(
        events=tuple(draw(events(seq)) for seq in range(draw(st.integers(0, max_events)))),
        provenance=draw(OBJECT),
        clock=draw(st.sampled_from(["virtual", "monotonic", "log"])),
        observed=tuple(draw(st.lists(st.sampled_from(LINKS), unique=True))),
        complete=draw(st.booleans()),
        notes=tuple(draw(st.lists(TEXT, max_size=2))),
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a file that the tests overwrite repeatedly."""
    return tmp_path_factory.mktemp("recordings") / "one.jsonl"


# -- round trips -----------------------------------------------------------------------------------------------------


@given(recordings())
def test_a_recording_survives_a_file_exactly(file: Path, recording: Recording) -> None:
    recording.write(file)
    assert Recording.read(file) == recording


@given(st.lists(recordings(max_events=3), min_size=1, max_size=4))
def test_several_recordings_survive_one_file(file: Path, written: list[Recording]) -> None:
    write_recordings(file, written)
    assert read_recordings(file) == written


@given(recordings())
def test_every_recording_has_a_frame_with_a_row_per_event(recording: Recording) -> None:
    assert list(recording.to_frame()["type"]) == [event.type for event in recording.events]


@given(recordings(), st.sampled_from(["one.jsonl", "one.jsonl.gz"]))
def test_a_recording_is_always_written_as_the_same_bytes(file: Path, recording: Recording, name: str) -> None:
    path = file.with_name(name)
    recording.write(path)
    first = path.read_bytes()
    Recording.read(path).write(path)
    assert path.read_bytes() == first


def test_a_compressed_file_has_no_timestamp(file: Path) -> None:
    path = file.with_name("one.jsonl.gz")
    play(tool_ms=50).write(path)
    assert path.read_bytes()[4:8] == bytes(4)


def test_a_played_session_is_equal_after_writing_and_reading(file: Path) -> None:
    recording = play(release="0.9.1", modality="audio", tool_ms=50)
    recording.write(file)
    assert Recording.read(file) == recording


def test_a_frame_has_one_typed_row_per_event() -> None:
    recording = play(release="0.9.1", modality="audio", tool_ms=50)
    frame = recording.to_frame()
    assert list(frame["type"]) == [event.type for event in recording.events]
    assert {str(frame[name].dtype) for name in ("seq", "sent_ns", "received_ns")} == {"Int64"}
    assert len(frame) == len(recording.events)
    assert frame.loc[frame["type"] == "(binary)", "sender"].eq("proxy").all()


# -- cut files -------------------------------------------------------------------------------------------------------


def assert_prefix(left: Recording, whole: Recording, *, data: bytes, cut: int) -> None:
    """Assert that `left`, read from a file cut before byte `cut`, is a prefix of `whole`."""
    assert left.events == whole.events[: len(left.events)]
    kept = data[:cut].count(b"\n") + (data[cut : cut + 1] == b"\n")
    assert len(left.events) == min(kept - 1, len(whole.events))
    assert left.complete == (whole.complete and cut >= len(data) - 1)
    assert (left.provenance, left.clock, left.observed) == (whole.provenance, whole.clock, whole.observed)
    dropped = data[:cut].rpartition(b"\n")[2] and data[cut : cut + 1] != b"\n"
    assert len(left.notes) - len(whole.notes) == bool(dropped and cut < len(data))


@given(recordings(), st.data())
def test_a_file_cut_after_the_header_reads_as_a_prefix(file: Path, recording: Recording, data: st.DataObject) -> None:
    recording.write(file)
    written = file.read_bytes()
    cut = data.draw(st.integers(written.index(b"\n"), len(written)), label="cut")
    file.write_bytes(written[:cut])
    assert_prefix(Recording.read(file), recording, data=written, cut=cut)


def test_every_cut_of_a_small_recording_reads_as_a_prefix(file: Path) -> None:
    whole = Recording(play(tool_ms=50).events[:9], {"release": "0.9.1"})
    whole.write(file)
    written = file.read_bytes()
    for cut in range(written.index(b"\n"), len(written) + 1):
        file.write_bytes(written[:cut])
        assert_prefix(Recording.read(file), whole, data=written, cut=cut)


def test_a_cut_inside_the_header_is_an_input_error(file: Path) -> None:
    play(tool_ms=50).write(file)
    written = file.read_bytes()
    for cut in range(0, written.index(b"\n"), 7):
        file.write_bytes(written[:cut])
        with pytest.raises(InputError, match=file.name):
            Recording.read(file)


def test_a_note_names_the_dropped_line(file: Path) -> None:
    play(tool_ms=50).write(file)
    lines = file.read_text().split("\n")
    file.write_text("\n".join(lines[:5]) + "\n" + lines[5][:30])
    left = Recording.read(file)
    assert left.notes == ("line 6 was cut after 30 characters and is dropped",)
    assert not left.complete


def test_a_cut_in_the_next_recording_leaves_the_previous_one_complete(file: Path) -> None:
    first, second = play(tool_ms=50), play(tool_ms=300)
    write_recordings(file, [first, second])
    written = file.read_bytes()
    header_of_second = written.rindex(b'{"voicerace_recording"')
    for cut in (header_of_second, header_of_second + 1, header_of_second + 40):
        file.write_bytes(written[:cut])
        (left,) = read_recordings(file)
        assert left.events == first.events
        assert left.complete


@settings(max_examples=60)
@given(st.data())
def test_a_compressed_file_cut_anywhere_is_a_prefix_or_an_input_error(file: Path, data: st.DataObject) -> None:
    path = file.with_name("cut.jsonl.gz")
    whole = play(tool_ms=50)
    whole.write(path)
    written = path.read_bytes()
    path.write_bytes(written[: data.draw(st.integers(0, len(written) - 1), label="cut")])
    try:
        left = Recording.read(path)
    except InputError:
        return
    assert left.events == whole.events[: len(left.events)]
    assert not left.complete or left.events == whole.events


# -- broken files ----------------------------------------------------------------------------------------------------


def lines_of(recording: Recording) -> list[str]:
    return list(recording.lines())


def test_a_broken_line_in_the_middle_is_named(file: Path) -> None:
    lines = lines_of(play(tool_ms=50))
    lines[6] = lines[6][:-5]
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError) as caught:
        Recording.read(file)
    assert caught.value.where == f"{file}:7"


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("link", "proxy>moon", "proxy>moon"),
        ("link", ["proxy"], "link"),
        ("link", ["proxy", "upstream"], "link"),
        ("kind", "wink", "wink"),
        ("sent_ns", 1.5, "1.5"),
        ("sent_ns", True, "True"),
        ("received_ns", "12", "12"),
        ("json", [1, 2], "list"),
        ("json", 5, "int"),
        ("binary", "a", "event"),
        ("seq", "first", "first"),
        ("seq", float("inf"), "seq"),
        ("seq", 1.5, "seq"),
        ("observed_at", ..., "observed_at"),
        ("sent_ns", ..., "sent_ns"),
        ("json", ..., "json"),
    ],
)
def test_an_event_with_a_wrong_field_is_named(file: Path, field: str, value: object, named: str) -> None:
    lines = lines_of(play(tool_ms=50))
    event = json.loads(lines[3])
    if value is ...:
        del event[field]
    else:
        event[field] = value
    lines[3] = json.dumps(event)
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=named) as caught:
        Recording.read(file)
    assert caught.value.where == f"{file}:4"


@pytest.mark.parametrize(
    ("field", "value"),
    [("voicerace_recording", 99), ("observed", ["a>b"]), ("observed", 5), ("provenance", "x"), ("clock", ...), ("notes", 5)],
)
def test_a_wrong_header_is_named(file: Path, field: str, value: object) -> None:
    lines = lines_of(play(tool_ms=50))
    header = json.loads(lines[0])
    if value is ...:
        del header[field]
    else:
        header[field] = value
    file.write_text("\n".join([json.dumps(header), *lines[1:]]) + "\n")
    with pytest.raises(InputError) as caught:
        Recording.read(file)
    assert caught.value.where == f"{file}:1"


def test_an_event_after_the_end_line_is_refused(file: Path) -> None:
    lines = lines_of(play(tool_ms=50))
    file.write_text("\n".join([*lines, lines[3]]) + "\n")
    with pytest.raises(InputError) as caught:
        Recording.read(file)
    assert caught.value.where == f"{file}:{len(lines) + 1}"


def test_a_lost_line_is_detected_by_the_count(file: Path) -> None:
    lines = lines_of(play(tool_ms=50))
    del lines[4]
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="announced"):
        Recording.read(file)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\n\n",
        b"hello\n",
        b"[1,2]\n",
        b"7",
        b"null\n",
        b'{"a":1}\n',
        bytes(range(256)) * 4,
        b"\xff\xfe",
        b"PK\x03\x04",
    ],
    ids=["empty", "newline", "newlines", "prose", "list", "number", "null", "object", "binary", "invalid utf-8", "zip"],
)
def test_a_file_without_a_recording_is_an_input_error(file: Path, content: bytes) -> None:
    for path in (file, file.with_name("bad.jsonl.gz")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=path.name):
            Recording.read(path)


@given(st.binary(max_size=60))
def test_arbitrary_bytes_never_crash_the_reader(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(InputError):
        read_recordings(file)


@given(st.data())
def test_inserted_bytes_never_crash_the_reader(file: Path, data: st.DataObject) -> None:
    written = "\n".join(lines_of(Recording(play(tool_ms=50).events[:5]))).encode()
    at = data.draw(st.integers(0, len(written)))
    file.write_bytes(written[:at] + data.draw(st.binary(min_size=1, max_size=8)) + written[at:])
    try:
        kept = read_recordings(file)
    except InputError as caught:
        error: InputError | None = caught
    else:
        error = None
        assert all(event.link in LINKS for each in kept for event in each.events)
    assert error is None or str(file) in error.where


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        Recording.read(tmp_path / "missing.jsonl")


def test_a_folder_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=tmp_path.name):
        Recording.read(tmp_path)


def test_a_file_that_failed_to_open_can_be_closed(tmp_path: Path) -> None:
    """The garbage collector closes the object. Since Python 3.13 an error in that call is printed."""
    made = Unpacked.__new__(Unpacked)
    with pytest.raises(FileNotFoundError):
        made.__init__(tmp_path / "none")  # type: ignore[misc]
    made.close()
    assert made.closed


def test_an_endlessly_nested_line_is_an_input_error(file: Path) -> None:
    file.write_text('{"a":' * 100_000)
    with pytest.raises(InputError, match=r"one\.jsonl:1"):
        Recording.read(file)


# -- events ----------------------------------------------------------------------------------------------------------


def test_the_time_of_an_event_at_each_end_is_known() -> None:
    event = Event(0, link("proxy>upstream"), "message", 10, 30, {"type": "response.create"})
    assert (event.at_ns("proxy"), event.at_ns("upstream")) == (10, 30)
    seen_once = Event(0, link("proxy>upstream"), "message", None, 30, {"type": "response.create"}, "relay")
    assert (seen_once.at_ns("proxy"), seen_once.at_ns("upstream")) == (30, 30)
    never = Event(0, link("proxy>upstream"), "message", None, None, {})
    assert never.at_ns("proxy") is None


@pytest.mark.parametrize(
    ("payload", "kind", "expected"),
    [
        ({"type": "Settings"}, "message", "Settings"),
        ({"no": "type"}, "message", "(no type)"),
        (b"\0\0", "message", "(binary)"),
        ("hello", "message", "(text)"),
        ({"code": None}, "close", "(close)"),
    ],
)
def test_the_type_of_an_event_is_named(payload: object, kind: str, expected: str) -> None:
    assert Event(0, LINKS[0], kind, 0, 0, payload).type == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("received", "seen_by", "arrived"), [(None, "engine", False), (5, "engine", True), (None, "log", True)]
)
def test_a_message_arrived_if_received_or_seen_in_a_log(received: int | None, seen_by: str, arrived: bool) -> None:
    assert Event(0, LINKS[0], "message", 0, received, {}, seen_by).arrived is arrived


def test_an_unknown_link_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="user>app") as caught:
        link("proxy>moon")
    assert caught.value.where == "link"


def test_a_recording_knows_its_observed_links() -> None:
    half = Recording((), observed=(Link("proxy", "upstream"),))
    assert half.observes("proxy", "upstream")
    assert not half.observes("upstream", "proxy")
