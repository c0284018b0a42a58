"""Does an API keep the contract that the models assume? One small experiment per fact, from the client's end.

So far these experiments have met this project's mock and a stand-in that is as strict as the reference on TLS, key and
fields, never OpenAI's API. What they say of it, they will say when somebody runs them there.
"""

from voicerace.conformance.contract.result import Contract, FactResult
from voicerace.conformance.contract.suite import check_contract, sessions_needed
from voicerace.conformance.contract.table import FACTS

__all__ = ["FACTS", "Contract", "FactResult", "check_contract", "sessions_needed"]
