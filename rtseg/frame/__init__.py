"""One frame: an image in, a label map out. The two ends, and the protocol of what stands between them."""
