"""Does the model do what the running proxy does? Both are given the same exchange, and what each sends is compared."""

from voicerace.conformance.conform import Conformance, conform
from voicerace.conformance.replay import replay

__all__ = ["Conformance", "conform", "replay"]
