"""Reading this module knows all sabotages by their names."""

from __future__ import annotations

from proofs.sabotage import CATALOGUE as CATALOGUE
from proofs.sabotage import bugs as bugs
from proofs.sabotage import failpoints as failpoints
from proofs.sabotage import money_bugs as money_bugs
from proofs.sabotage import money_failpoints as money_failpoints
