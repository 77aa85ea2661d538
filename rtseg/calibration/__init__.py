"""From pictures to ranges: what values every tensor of a graph takes."""
