"""Every path to a bad outcome, with times: timed reachability over the same actors that every engine plays."""
