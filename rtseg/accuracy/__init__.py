"""Accuracy: one exact confusion matrix, and the figures computed from it."""
