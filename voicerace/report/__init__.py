"""Run the notebook of the letter and write one HTML page (`report.build`). `page_check` checks the page.

This module imports nothing, because a notebook kernel imports the sections without nbconvert.
"""
