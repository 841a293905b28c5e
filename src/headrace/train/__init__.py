"""The one trainer. No other room has a loop over epochs."""
