"""Names that the project's notebooks use in addition to those of `voicerace` and `voicerace.plots`."""

from typing import Any, Final

from voicerace.values import load

#: Names to import from each module (relative to voicerace).
_NAMES: Final = {
    "conformance.evidence": ("real_sessions",),
    "conformance.hypotheses": ("suspicions",),
    "experiments.executors": ("Executor",),
    "experiments.explore.replay": ("replayed",),
    "experiments.explore.space": ("space_of",),
    "experiments.explore.stories": ("stories",),
    "experiments.sweep.sweep": ("trials_of",),
    "experiments.workarounds": ("BOUNDS", "effects_of"),
    "model.catalog.handlers": ("HANDLERS",),
    "conformance.suspicions": ("SUSPICIONS",),
    "model.catalog.releases": ("proxy_release",),
    "model.catalog.workarounds": ("WORKAROUNDS",),
    "report.context": ("ReportContext",),
    "report.customer": ("customer_of",),
    "report.letter": ("section",),
    "report.maps": ("map_trials",),
    "report.notebook.display": ("load_ipython_extension", "print_progress", "register", "show", "show_table", "table_html"),
    "report.notebook.parameters": (
        "DelaySweepParameters",
        "EveryPathParameters",
        "FieldParameters",
        "OneSessionParameters",
        "SuspicionsParameters",
        "YourSessionsParameters",
    ),
    "report.notebook.outcome_map": ("OutcomeMap",),
    "report.notebook.sliders": ("Sliders",),
    "report.parameters": ("LetterParameters",),
}
#: Modules (relative to voicerace) by their names in notebooks.
_MODULES: Final = {
    "blocks": "report.blocks",
    "capture_view": "report.capture_view",
    "field_page": "report.field_page",
    "field_tables": "report.notebook.field_tables",
    "path_tables": "report.notebook.path_tables",
    "text": "report.phrasing",
}
_PLACES: Final = {name: f"{module}:{name}" for module, names in _NAMES.items() for name in names} | _MODULES

__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    return load(globals(), _PLACES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
