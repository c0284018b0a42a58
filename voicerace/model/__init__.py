"""What a session is made of: both wire protocols, the catalog of facts, and the actors."""
