"""One frame: from an image to a label map. Preprocessing, postprocessing, and the protocol of the runner in between."""
