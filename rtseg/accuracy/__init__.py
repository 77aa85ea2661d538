"""How right a label map is: one exact confusion matrix, and what follows from it."""
