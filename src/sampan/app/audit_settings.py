"""What the operator says of the audit log: the variable `SAMPAN_AUDIT`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sampan.apiserver.audit import AuditFile, AuditPolicy, AuditTrail
from sampan.app.operator_settings import OperatorSettingsError

VARIABLE = "SAMPAN_AUDIT"


def make_audit_trail(path: Path, environ: Mapping[str, str]) -> AuditTrail | None:
    """Return where requests are written down, None for nowhere; raise OperatorSettingsError."""
    value = environ.get(VARIABLE) or AuditPolicy.WRITES
    if value not in tuple(AuditPolicy):
        known = ", ".join(f'"{policy}"' for policy in AuditPolicy)
        raise OperatorSettingsError(f'{VARIABLE}: "{value}" cannot be used; write one of {known}')
    policy = AuditPolicy(value)
    return None if policy is AuditPolicy.NONE else AuditTrail(AuditFile(path), policy)
