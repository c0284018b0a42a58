"""Does an API keep the contract that the models assume? One small experiment per fact, from the client's end.

So far these experiments have met this project's mock and a stand-in that is as strict as the reference on TLS, key and
fields, never OpenAI's API. What they say of it, they will say when somebody runs them there.
"""

from voicerace.contract.result import Contract, Row
from voicerace.contract.run import check_contract, sessions_needed
from voicerace.contract.table import FACTS

__all__ = ["FACTS", "Contract", "Row", "check_contract", "sessions_needed"]
