"""Label what a camera, a video or numbered pictures show, in a loop whose buffers are made once.

Usage: python examples/embed_python.py MODEL.onnx SOURCE
SOURCE is 0 for a camera, a video such as drive.mp4, or shots/%04d.png.
"""

import sys
from collections.abc import Iterator

import cv2
import numpy as np

import rtseg


def label_maps(segmenter: rtseg.Segmenter, source: str) -> Iterator[np.ndarray]:
    """Yield each frame's label map, uint8 (height, width), in a buffer that the next frame overwrites."""
    capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
    if not capture.isOpened():
        raise SystemExit(f"cannot open {source}")
    step = None
    try:
        while True:
            found, frame = capture.read()
            if not found:
                return
            if step is None or step.image.shape != frame.shape:
                step = segmenter.bind(frame)
            cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=step.image)
            step()
            yield step.labels
    finally:
        capture.release()


if __name__ == "__main__":
    with rtseg.load(sys.argv[1]) if len(sys.argv) > 2 else sys.exit(__doc__) as labeller:
        for labels in label_maps(labeller, sys.argv[2]):
            print("mostly", labeller.output.classes.names[np.bincount(labels.ravel()).argmax()])
