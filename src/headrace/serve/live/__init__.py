"""Generations while they serve: swapped, answering silently beside the live one, sharing its traffic, watched and rolled back."""
