"""The layer where people run it: consumers, test tools, workers and servers."""
