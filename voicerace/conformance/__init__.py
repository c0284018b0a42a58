"""Compares a model with a running proxy: gives the same inputs to both and compares the messages that they send."""

from voicerace.conformance.conform import Conformance, conform
from voicerace.conformance.replay import replay

__all__ = ["Conformance", "conform", "replay"]
