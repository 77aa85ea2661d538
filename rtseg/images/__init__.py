"""Pictures: from disk to pixels (files), in other sizes (geometry), to the network's input (preprocess).

preprocess and geometry need NumPy only, as they run on the deployment target; OpenCV belongs to files.
"""
