"""Provide parameters, display and sliders for the notebooks."""
