"""The report. `build` runs the notebook of the letter and writes one HTML page. `page_check` checks the page.

This module imports nothing, because the kernel of a notebook needs the sections but not nbconvert.
"""
