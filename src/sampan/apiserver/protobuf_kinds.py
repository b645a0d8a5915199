"""The messages that clients send in protobuf, as data: field numbers of Kubernetes's own schemas.

(`k8s.io/api/core/v1`, `authorization/v1`, `authentication/v1`, `apimachinery/.../meta/v1`.)
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.apiserver.protobuf import Field, Message

OWNER_REFERENCE: Message = {
    1: Field("kind"),
    3: Field("name"),
    4: Field("uid"),
    5: Field("apiVersion"),
    6: Field("controller", "bool"),
    7: Field("blockOwnerDeletion", "bool"),
}

MANAGED_FIELDS: Message = {
    1: Field("manager"),
    2: Field("operation"),
    3: Field("apiVersion"),
    4: Field("time", "time"),
    6: Field("fieldsType"),
    7: Field("fieldsV1", "json"),
    8: Field("subresource"),
}

OBJECT_META: Message = {
    1: Field("name"),
    2: Field("generateName"),
    3: Field("namespace"),
    4: Field("selfLink"),
    5: Field("uid"),
    6: Field("resourceVersion"),
    7: Field("generation", "int"),
    8: Field("creationTimestamp", "time"),
    9: Field("deletionTimestamp", "time"),
    10: Field("deletionGracePeriodSeconds", "int"),
    11: Field("labels", map=True),
    12: Field("annotations", map=True),
    13: Field("ownerReferences", "message", repeated=True, fields=OWNER_REFERENCE),
    14: Field("finalizers", repeated=True),
    17: Field("managedFields", "message", repeated=True, fields=MANAGED_FIELDS),
}

OBJECT_REFERENCE: Message = {
    1: Field("kind"),
    2: Field("namespace"),
    3: Field("name"),
    4: Field("uid"),
    5: Field("apiVersion"),
    6: Field("resourceVersion"),
    7: Field("fieldPath"),
}

_META = Field("metadata", "message", fields=OBJECT_META)
_LABEL_REQUIREMENT: Message = {
    1: Field("key"),
    2: Field("operator"),
    3: Field("values", repeated=True),
}
_SELECTOR: Message = {
    1: Field("rawSelector"),
    2: Field("requirements", "message", repeated=True, fields=_LABEL_REQUIREMENT),
}

CONFIG_MAP: Message = {
    1: _META,
    2: Field("data", map=True),
    3: Field("binaryData", "bytes", map=True),
    4: Field("immutable", "bool"),
}
SECRET: Message = {
    1: _META,
    2: Field("data", "bytes", map=True),
    3: Field("type"),
    4: Field("stringData", map=True),
    5: Field("immutable", "bool"),
}
SERVICE_ACCOUNT: Message = {
    1: _META,
    2: Field("secrets", "message", repeated=True, fields=OBJECT_REFERENCE),
    3: Field("imagePullSecrets", "message", repeated=True, fields={1: Field("name")}),
    4: Field("automountServiceAccountToken", "bool"),
}
NAMESPACE: Message = {
    1: _META,
    2: Field("spec", "message", fields={1: Field("finalizers", repeated=True)}),
    3: Field("status", "message", fields={1: Field("phase")}),
}

_RESOURCE_ATTRIBUTES: Message = {
    1: Field("namespace"),
    2: Field("verb"),
    3: Field("group"),
    4: Field("version"),
    5: Field("resource"),
    6: Field("subresource"),
    7: Field("name"),
    8: Field("fieldSelector", "message", fields=_SELECTOR),
    9: Field("labelSelector", "message", fields=_SELECTOR),
}
_ACCESS_SPEC: Message = {
    1: Field("resourceAttributes", "message", fields=_RESOURCE_ATTRIBUTES),
    2: Field("nonResourceAttributes", "message", fields={1: Field("path"), 2: Field("verb")}),
}
_ACCESS_STATUS: Message = {
    1: Field("allowed", "bool"),
    2: Field("reason"),
    3: Field("evaluationError"),
    4: Field("denied", "bool"),
}
_RULES_STATUS: Message = {3: Field("incomplete", "bool"), 4: Field("evaluationError")}
_USER: Message = {1: Field("username"), 2: Field("uid"), 3: Field("groups", repeated=True)}
_SELF_STATUS: Message = {1: Field("userInfo", "message", fields=_USER)}

ACCESS_REVIEW: Message = {
    1: _META,
    2: Field("spec", "message", fields=_ACCESS_SPEC),
    3: Field("status", "message", fields=_ACCESS_STATUS),
}
RULES_REVIEW: Message = {
    1: _META,
    2: Field("spec", "message", fields={1: Field("namespace")}),
    3: Field("status", "message", fields=_RULES_STATUS),
}
SELF_REVIEW: Message = {1: _META, 2: Field("status", "message", fields=_SELF_STATUS)}

_POLICY_RULE: Message = {
    1: Field("verbs", repeated=True),
    2: Field("apiGroups", repeated=True),
    3: Field("resources", repeated=True),
    4: Field("resourceNames", repeated=True),
    5: Field("nonResourceURLs", repeated=True),
}
_RULES = Field("rules", "message", repeated=True, fields=_POLICY_RULE)
_LABEL_SELECTOR: Message = {
    1: Field("matchLabels", map=True),
    2: Field("matchExpressions", "message", repeated=True, fields=_LABEL_REQUIREMENT),
}
_AGGREGATION: Message = {
    1: Field("clusterRoleSelectors", "message", repeated=True, fields=_LABEL_SELECTOR)
}
_SUBJECT: Message = {
    1: Field("kind"),
    2: Field("apiGroup"),
    3: Field("name"),
    4: Field("namespace"),
}
_ROLE_REF: Message = {1: Field("apiGroup"), 2: Field("kind"), 3: Field("name")}

ROLE: Message = {1: _META, 2: _RULES}
CLUSTER_ROLE: Message = {
    **ROLE,
    3: Field("aggregationRule", "message", fields=_AGGREGATION),
}
BINDING: Message = {
    1: _META,
    2: Field("subjects", "message", repeated=True, fields=_SUBJECT),
    3: Field("roleRef", "message", fields=_ROLE_REF),
}
_QUOTA_SPEC: Message = {
    1: Field("hard", "quantity", map=True),
    2: Field("scopes", repeated=True),
}
_QUOTA_STATUS: Message = {
    1: Field("hard", "quantity", map=True),
    2: Field("used", "quantity", map=True),
}
RESOURCE_QUOTA: Message = {
    1: _META,
    2: Field("spec", "message", fields=_QUOTA_SPEC),
    3: Field("status", "message", fields=_QUOTA_STATUS),
}
_TOKEN_SPEC: Message = {
    1: Field("audiences", repeated=True),
    3: Field("boundObjectRef", "message", fields={1: Field("kind"), 3: Field("name")}),
    4: Field("expirationSeconds", "int"),
}
_TOKEN_STATUS: Message = {1: Field("token"), 2: Field("expirationTimestamp", "time")}
TOKEN_REQUEST: Message = {
    1: _META,
    2: Field("spec", "message", fields=_TOKEN_SPEC),
    3: Field("status", "message", fields=_TOKEN_STATUS),
}

KINDS: Mapping[tuple[str, str], Message] = {
    ("v1", "ConfigMap"): CONFIG_MAP,
    ("v1", "Secret"): SECRET,
    ("v1", "ServiceAccount"): SERVICE_ACCOUNT,
    ("v1", "Namespace"): NAMESPACE,
    ("v1", "ResourceQuota"): RESOURCE_QUOTA,
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview"): ACCESS_REVIEW,
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview"): RULES_REVIEW,
    ("authentication.k8s.io/v1", "SelfSubjectReview"): SELF_REVIEW,
    ("authentication.k8s.io/v1", "TokenRequest"): TOKEN_REQUEST,
    ("rbac.authorization.k8s.io/v1", "Role"): ROLE,
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): CLUSTER_ROLE,
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): BINDING,
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): BINDING,
}
