"""Events and recordings: what passed, and when."""
