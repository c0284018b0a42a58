"""Compares the model with a running proxy: both get the same inputs, and the messages that they send are compared."""

from voicerace.conformance.conform import Conformance, conform
from voicerace.conformance.replay import replay

__all__ = ["Conformance", "conform", "replay"]
