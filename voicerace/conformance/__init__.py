"""Does the model do what the running proxy does? Both are given the same exchange, and what each sends is compared."""

from voicerace.conformance.replay import replay
from voicerace.conformance.run import Conformance, conform

__all__ = ["Conformance", "conform", "replay"]
