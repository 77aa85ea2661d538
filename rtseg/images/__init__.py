"""Pictures: from disk to pixels (files), to the network's input (preprocess), labels in other sizes (geometry), in
colours (palette) and on disk (label_png).

preprocess, geometry and palette need NumPy only, as they run on the deployment target; OpenCV belongs to files.
"""
