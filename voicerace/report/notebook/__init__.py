"""Support for the notebooks: parameters, display and sliders."""
