"""Token encoders: compute one vector per word and layer."""
