"""Does an API keep the contract that the models assume? One small experiment per fact."""
