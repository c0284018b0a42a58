"""Finds every path to a bad outcome, with times, by timed reachability over the actors that the engines use."""
