"""Random operations on several layers of one prefix, against a plain model."""
