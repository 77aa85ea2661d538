"""The tables of the papers as data, and what a network is said to reach in them. Knows no network but its name."""
