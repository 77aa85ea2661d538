"""Whether what TensorRT built is what was asked for, by what its inspector tells of the finished engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rtseg.engines.inspector import parse_layers
from rtseg.engines.layer_audit import audit
from rtseg.engines.layers_file import parse_json
from rtseg.engines.verdict import EngineVerdict, verdict_on
from rtseg.errors import EngineError


@dataclass(frozen=True)
class PrecisionProof:
    """The verdict on an engine, and the counts behind it (Audit.shares), None where the text could not be read."""

    verdict: EngineVerdict
    shares: Mapping[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"verdict": self.verdict.to_json(), "shares": self.shares}


def prove_precision(layers: str, request: str, *, must_be_readable: bool = False) -> PrecisionProof:
    """Return what the inspector's text says of a request for fp32, fp16 or int8.

    A text that cannot be read, as another version of TensorRT may write one, leaves the verdict undecided: it says
    nothing against an engine that took minutes to build. With must_be_readable it raises EngineError.
    """
    try:
        account = audit(parse_layers(parse_json(layers)))
    except EngineError as error:
        if must_be_readable:
            raise
        return PrecisionProof(EngineVerdict(request, (), (), undecided=str(error)), None)
    return PrecisionProof(verdict_on(account, request), account.shares())
