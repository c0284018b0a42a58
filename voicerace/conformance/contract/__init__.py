"""Tests, as a client, whether an API behaves as the models assume, with one small experiment per fact.

So far the experiments ran against this project's mock, and against a stand-in that checks TLS, key and fields as strictly
as the API reference requires. They have not run against OpenAI's API.
"""

from voicerace.conformance.contract.result import Contract, FactResult
from voicerace.conformance.contract.suite import check_contract, sessions_needed
from voicerace.conformance.contract.table import FACTS

__all__ = ["FACTS", "Contract", "FactResult", "check_contract", "sessions_needed"]
