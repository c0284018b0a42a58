"""What travels: names and builders of both protocols, without state."""
