"""From a model to a fleet (`regatta profile`), and from a fleet's champions back into the model (`regatta verify`)."""
