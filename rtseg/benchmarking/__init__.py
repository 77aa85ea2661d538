"""How fast a step is: clocks, stop rule, statistics, environment. Knows only something that can be called."""
