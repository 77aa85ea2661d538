"""Measures how fast a step is: clocks, stop rule, statistics, environment. A step is anything that can be called."""
