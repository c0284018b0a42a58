"""The report: `build` runs the letter's notebook and writes one HTML page; `page_check` checks the page.

Nothing is imported here, because a notebook's kernel needs the sections but not nbconvert.
"""
