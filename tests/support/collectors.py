"""A proxy's log in the formats of log collectors, which `voicerace.captures.log_envelopes` unwraps."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from voicerace.captures.log_scanner import Record
from voicerace.captures.node_inspect import NoValue

__all__ = ["JSON_WRAPPERS", "TIME", "WRAPPERS", "docker", "otlp", "otlp_document"]

TIME = "2026-11-22T16:35:41.6420000Z"


def docker(line: str) -> str:
    return json.dumps({"log": line + "\n", "stream": "stdout", "time": TIME})


def journald(line: str) -> str:
    return json.dumps({"__REALTIME_TIMESTAMP": "1", "_PID": "42", "_SYSTEMD_UNIT": "proxy.service", "MESSAGE": line})


def journald_bytes(line: str) -> str:
    return json.dumps({"_PID": "42", "MESSAGE": list(line.encode())})


#: Name of a collector -> function that wraps a line of the log in a JSON object.
JSON_WRAPPERS: dict[str, Callable[[str], str]] = {
    "docker json-file": docker,
    "docker in journald": lambda line: journald(docker(line)),
    "journald": journald,
    "journald bytes": journald_bytes,
    "cloud": lambda line: json.dumps({"textPayload": line, "severity": "DEFAULT"}),
    "cloudwatch": lambda line: json.dumps({"@timestamp": TIME, "@message": line}),
    "container and message": lambda line: json.dumps({"container_name": "proxy", "message": line}),
    "pod and msg": lambda line: json.dumps({"pod": "proxy-0", "msg": line}),
}
WRAPPERS: dict[str, Callable[[str], str]] = {
    **JSON_WRAPPERS,
    "journalctl": lambda line: f"Nov 22 16:35:41 host node[42]: {line}",
    "docker compose": lambda line: f"proxy-1  | {line}",
    "docker compose with times": lambda line: f"proxy-1  | {TIME} {line}",
    "concurrently": lambda line: f"[0] {line}",
    "kubernetes": lambda line: f"{TIME} stdout F {line}",
}


def _any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}


def otlp(record: Record, name: bool = False) -> dict[str, Any]:
    """Return a record as OTLP JSON. With `name`, the severity is a name instead of a number."""
    fields: Any = record.fields
    attributes = [{"key": k, "value": _any_value(v)} for k, v in fields["attributes"].items() if not isinstance(v, NoValue)]
    trace = {} if isinstance(fields.get("traceId"), NoValue) else {"traceId": fields["traceId"]}
    severity = f"SEVERITY_NUMBER_{fields['severityText']}" if name else fields["severityNumber"]
    return {
        "timeUnixNano": str(fields["timestamp"] * 1000),
        "severityNumber": severity,
        "body": {"stringValue": fields["body"]},
        "attributes": attributes,
        **trace,
    }


def otlp_document(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the JSON document that an OpenTelemetry collector's file exporter writes for the records."""
    return {"resourceLogs": [{"resource": {}, "scopeLogs": [{"scope": {}, "logRecords": records}]}]}
