"""The wire protocols, the catalog of facts, and the actors of a session."""
