"""The fix for a checkout: edits of its proxy, component and forwarder, the patch, the evidence, and a draft issue."""
