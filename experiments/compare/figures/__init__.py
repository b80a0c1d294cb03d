"""The pictures of a comparison and its HTML report."""
