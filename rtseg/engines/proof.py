"""Check whether a finished engine has the requested precision, by the text of TensorRT's inspector."""

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
    """The verdict on an engine, and the counts behind it (Audit.shares), None if the text could not be read."""

    verdict: EngineVerdict
    shares: Mapping[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
        return {"verdict": self.verdict.to_json(), "shares": self.shares}


def prove_precision(layers: str, request: str, *, must_be_readable: bool = False) -> PrecisionProof:
    """Return the proof that the inspector's text gives for a request of fp32, fp16 or int8.

    An unreadable text, such as one of another TensorRT version, leaves the verdict undecided: it is no evidence against
    an engine that took minutes to build. With must_be_readable it raises EngineError.
    """
    try:
        account = audit(parse_layers(parse_json(layers)))
    except EngineError as error:
        if must_be_readable:
            raise
        return PrecisionProof(EngineVerdict(request, (), (), undecided=str(error)), None)
    return PrecisionProof(verdict_on(account, request), account.shares())
