"""Every path to a bad outcome, with times: timed reachability over the same parties that every engine plays."""
