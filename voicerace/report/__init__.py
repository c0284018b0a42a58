"""The report. `build` runs the notebook of the letter and writes one HTML page. `page_check` checks the page.

This module imports nothing, because a notebook kernel imports the sections without nbconvert.
"""
