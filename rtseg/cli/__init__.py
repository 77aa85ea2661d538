"""The command line: parse, call one function of the library, print."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from rtseg import __version__
from rtseg.cli.audit_command import audit
from rtseg.cli.bench_command import bench
from rtseg.cli.build_command import build
from rtseg.cli.calibrate_command import calibrate
from rtseg.cli.doctor_command import doctor
from rtseg.cli.drift_command import drift
from rtseg.cli.export_command import export
from rtseg.cli.import_checkpoint_command import import_checkpoint
from rtseg.cli.import_onnx_command import import_onnx
from rtseg.cli.networks_command import networks
from rtseg.cli.quantize_command import quantize
from rtseg.cli.run_command import run
from rtseg.cli.scenes_command import scenes
from rtseg.cli.sensitivity_command import sensitivity
from rtseg.cli.train_command import train
from rtseg.cli.validate_command import validate
from rtseg.errors import RtsegError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="rtseg")
def cli() -> None:
    """From a PyTorch segmentation network to a measured, validated engine.

    \b
    rtseg networks                           the networks by name
    rtseg train affnet --data camvid:DIR     a checkpoint
    rtseg export affnet --resolution 512x1024 --checkpoint F.safetensors
    rtseg import-onnx F.onnx --classes 7     an ONNX file of another exporter
    rtseg calibrate F.onnx --data camvid:DIR -o F.table.json
    rtseg quantize F.onnx --table F.table.json --to int8
    rtseg build F.onnx --precision fp16      an engine for this GPU or RTX cards
    rtseg audit F.engine --expect fp16       proof that FP16 was built
    rtseg run F.onnx pictures/ -o labelled/  label maps and overlays
    rtseg validate F.onnx --data camvid:DIR --split val
    rtseg bench --resolution 1024x2048       ms and FPS beside the papers'
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
    drift,
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
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a pipe of Windows has a code page, which lacks letters of our tables
    try:
        code = cli.main(arguments, prog_name="rtseg", standalone_mode=False)  # of a command that ended with one
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except RtsegError as error:
        _fail(f"{error} (see {error.page})", 1)
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
    sys.exit(code or 0)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"rtseg: error: {' '.join(message.split())}", err=True)
    sys.exit(code)
