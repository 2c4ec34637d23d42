"""Access grants (contract section 5).

A consent whose state cannot be read must not end wider than it was: the ``grant_*`` rules close it.
Grants that no consent row speaks for ("implied") are made by the resolve stage.
"""

from person_unify.mappings.spec import Mapping, computed, constant, copy, new_id, person, reference

GRANTS = Mapping(
    "consent_grants",
    "access_grants",
    {
        "id": new_id(),
        "grantor_type": constant("parent"),
        "grantor_id": reference("parent_id", "parents"),
        "grantee_type": constant("clinician"),
        "grantee_id": copy("clinician_id", otherwise="", may_be_absent=True),
        "grantee_email": copy("clinician_email"),
        "person_id": person(),
        "permissions": computed("grant_permissions", carries="permissions", permissions="TEXT"),
        "token": computed(
            "grant_token",
            carries="token",
            token="TEXT",
            status="TEXT",
            expires_at="DATETIME",
            revoked_at="DATETIME",
            permissions="TEXT",
            access_level="TEXT",
        ),
        "token_expires_at": computed(
            "grant_token_expiry",
            expires_at="DATETIME",
            status="TEXT",
            revoked_at="DATETIME",
            permissions="TEXT",
            access_level="TEXT",
        ),
        "status": computed(
            "grant_status",
            carries="status",
            null_is_unreadable=True,
            status="TEXT",
            expires_at="DATETIME",
            revoked_at="DATETIME",
            permissions="TEXT",
            access_level="TEXT",
        ),
    },
    requires=(reference("parent_id", "parents"),),
    orphan_kind="orphaned_consent_grant",
)

MAPPINGS = (GRANTS,)
