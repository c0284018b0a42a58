"""Events and recordings: the messages of a session and their times."""
