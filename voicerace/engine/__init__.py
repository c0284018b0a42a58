"""Engines that carry messages between actors, in virtual time (`sim`) or on sockets (`live`)."""
