#!/bin/sh
# The main job once, from shipped weights to labels and an engine: export, parity, mIoU, overlays, latency, audit.
# Usage: demo.sh CHECKPOINT HxW [PICTURE | FOLDER | VIDEO]...
set -eu
checkpoint=$1
resolution=$2
shift 2
rm -rf demo
mkdir demo

say() { printf '\n== %s\n' "$1"; }

say "1. export: PyTorch -> ONNX, compared with PyTorch before it is written"
rtseg export --checkpoint "$checkpoint" --resolution "$resolution" -o demo/logits.onnx
rtseg export --checkpoint "$checkpoint" --resolution "$resolution" --interface scores -o demo/scores.onnx

if [ $# -eq 0 ]; then
    say "2. pictures: none were given, so six street scenes are rendered"
    rtseg scenes demo/scenes --resolution 720x960 --count 6
    set -- demo/scenes/val
    say "3. accuracy of the exported file, on scenes that were not used in training"
    rtseg validate demo/logits.onnx --data streets --split test --limit 30
else
    say "2. pictures: yours.   3. accuracy: not measured, because they have no labels"
fi

say "4. labels and overlays"
rtseg run demo/logits.onnx "$@" -o demo/labelled

say "5. latency"
rtseg bench demo/scores.onnx demo/logits.onnx --seconds 5

say "6. an engine for RTX cards, built without a GPU, and its layers"
if python -c "import tensorrt_rtx" 2>/dev/null; then
    rtseg export --checkpoint "$checkpoint" --resolution "$resolution" --target tensorrt --images 0 -o demo/logits.gpu.onnx
    rtseg build demo/logits.gpu.onnx --runtime tensorrt-rtx --precision fp16 -o demo/logits.engine
    rtseg audit demo/logits.engine
    engine="; the engine is demo/logits.engine"
else
    echo "skipped: TensorRT for RTX is not installed; it has wheels only for x86-64 Linux and Windows"
fi

say "done: look at demo/labelled/*_overlay.png${engine:-}"
