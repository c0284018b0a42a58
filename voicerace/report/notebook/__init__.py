"""What the notebooks take: parameters, display, sliders."""
