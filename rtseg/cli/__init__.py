"""The command line: parse, call one function of the library, print."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from rtseg import __version__
from rtseg.cli.audit import audit
from rtseg.cli.bench import bench
from rtseg.cli.build import build
from rtseg.cli.calibrate import calibrate
from rtseg.cli.doctor import doctor
from rtseg.cli.export import export
from rtseg.cli.import_checkpoint import import_checkpoint
from rtseg.cli.import_onnx import import_onnx
from rtseg.cli.networks import networks
from rtseg.cli.quantize import quantize
from rtseg.cli.run import run
from rtseg.cli.scenes import scenes
from rtseg.cli.sensitivity import sensitivity
from rtseg.cli.train import train
from rtseg.cli.validate import validate
from rtseg.errors import RtsegError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="rtseg")
def cli() -> None:
    """From a PyTorch segmentation network to a measured, validated engine.

    \b
    rtseg networks                         what can be built by name
    rtseg train affnet --data camvid:DIR   weights
    rtseg import-checkpoint espnet F.pth --classes camvid+void
    rtseg export affnet --resolution 512x1024 --checkpoint F
    rtseg import-onnx F.onnx --classes 7   any ONNX file, made fit for the rest
    rtseg calibrate F.onnx --data camvid:DIR -o F.table.json
    rtseg quantize F.onnx --table F.table.json --to int8 --max-drop 0.5 --data camvid:DIR
    rtseg build F.onnx --precision fp16    an engine for this GPU, or for RTX cards
    rtseg audit F.engine --expect fp16     proof that FP16 was built
    rtseg run F.onnx pictures/ -o labelled/
    rtseg validate F.onnx --data camvid:DIR --split val
    rtseg bench --resolution 1024x2048     ms and FPS beside the papers'
    """


for _command in (
    networks,
    train,
    import_checkpoint,
    export,
    import_onnx,
    calibrate,
    quantize,
    sensitivity,
    build,
    audit,
    run,
    validate,
    bench,
    scenes,
    doctor,
):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 an error the user can mend, 2 wrong usage, 130 interrupted."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")  # what OpenCV tells of a bad file is told by our one line
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        cli.main(arguments, prog_name="rtseg", standalone_mode=False)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except RtsegError as error:
        _fail(str(error), 1)
    except MemoryError as error:
        _fail(f"out of memory{f': {error}' if str(error) else ''}. Try: a smaller resolution", 1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe has left; there is nobody to tell
        sys.exit(1)
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EFBIG):
            raise
        # A full disk under a file is a WriteError; under no file it is that of redirected standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left in its buffer
        _fail(f"cannot write standard output: {error.strerror}. Try: free some space", 1)
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"rtseg: error: {' '.join(message.split())}", err=True)
    sys.exit(code)
