"""The real component against its model: scripts, the harness that plays them under its own Jest, and the comparison."""

from voicerace.conformance.component.runner import ComponentConformance, conform_component, source_of

__all__ = ["ComponentConformance", "conform_component", "source_of"]
