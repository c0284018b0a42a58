"""The fix of a checkout: edits of its proxy, component and forwarder, the patch, and the draft of an issue with evidence."""
