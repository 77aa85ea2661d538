"""The networks themselves: one module each, with its facts at the end, and the trunks and blocks they share."""
