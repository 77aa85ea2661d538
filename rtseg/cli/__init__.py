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


@click.group(
    subcommand_metavar="COMMAND [ARGUMENTS]",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="rtseg")
def cli() -> None:
    """Turn a PyTorch segmentation network into a measured, validated engine.

    \b
    weights    train, import-checkpoint
    ONNX file  export, import-onnx; for INT8 also calibrate and quantize
    engine     build, audit
    results    run labels pictures, validate measures mIoU, bench speed

    \b
    Examples:
      rtseg export --checkpoint export/checkpoints/affnet-streets.safetensors \\
        --resolution 360x480 --target tensorrt -o affnet.onnx
      rtseg run affnet.onnx export/checkpoints/affnet-streets.jpg -o labelled
      rtseg build affnet.onnx --runtime tensorrt-rtx --precision fp16

    The examples of all commands work in a clone of the repository. Paste those of one command in their order.
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
    """Run the command line and exit: 0 done, 1 an error that the user can fix, 2 wrong usage, 130 interrupted."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")  # our one line reports a bad file
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the code page of a pipe on Windows lacks letters of our tables
    try:
        code = cli.main(arguments, prog_name="rtseg", standalone_mode=False)  # a command's own exit code
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
        _fail(f"out of memory{f': {error}' if str(error) else ''}. Try: use a smaller resolution", 1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the pipe has left: a message has no reader
        sys.exit(1)
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EFBIG):
            raise
        # For a file of ours a full disk is a WriteError. Without a file name it is redirected standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # takes what is left in its buffer
        _fail(f"cannot write standard output: {error.strerror}. Try: free some space", 1)
    sys.exit(code or 0)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"rtseg: error: {' '.join(message.split())}", err=True)
    sys.exit(code)
