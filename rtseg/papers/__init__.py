"""The tables of the papers as data, and the values that they state for a network, looked up by its name only."""
