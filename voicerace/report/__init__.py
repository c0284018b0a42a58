"""The report: a notebook that ran through, as one HTML file that a customer opens: `build`, and what checks the file: `check`.

Nothing is imported here: a notebook's kernel needs the sections, and no nbconvert.
"""
