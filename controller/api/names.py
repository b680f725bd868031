"""The words that objects in the API server carry: group, labels, annotations.

They are a contract with every manifest and dashboard out there, so they stand in one place.
"""

GROUP = "pointsman.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

RELEASE_LABEL = f"{GROUP}/release"
PART_LABEL = f"{GROUP}/part"
"""Of what a Release has one of besides its own: its preview."""
REVISION_LABEL = f"{GROUP}/revision"
JOB_LABEL = f"{GROUP}/job-of"
"""Of a step's Job and its pods: the Release. They carry no revision's labels, by which Services find pods."""
ATTEMPT_LABEL = f"{GROUP}/attempt"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "pointsman"

TRAFFIC_FINALIZER = f"{GROUP}/traffic"
"""On a Release while its traffic is not at 100 % stable, and at no other time."""

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""`kubectl rollout restart` writes it into a template; it makes no new version."""

MADE = f"{GROUP}/made"
"""On a revision's Service: digests of its Deployment and its ports as they were made."""

RETRY = f"{GROUP}/retry"
"""On a Release: the rejected revision that is to come out again, for those who ask in git."""

GIT_URLS = f"{GROUP}/git-urls"
"""On a Secret: the repositories that it opens, or signs for, by what their urls begin with."""

COMMIT = f"{GROUP}/commit"
"""On what a commit brought into the cluster: its name."""

WITHOUT_RECORD, ALLOW = f"{GROUP}/without-record", "allow"
"""On a Release: its first deployment does not wait for the record of healthy versions in git."""

MANUAL_UNTIL = f"{GROUP}/manual"
"""Break-glass, on a Release: until this moment (RFC 3339) a person has the route in hand, and it is not put back."""

CONFIG, CONFIG_LIVE = f"{GROUP}/config", "live"
"""On a ConfigMap: `live` leaves it out of versions. Its changes reach all pods at once and are not judged."""

COPY_OF = f"{GROUP}/copy-of"
"""On a version's copy of a ConfigMap: the name of that."""

REPOSITORY_LABEL = f"{GROUP}/repository"
"""On what `pointsman sync` applied: the name of the ReleaseRepository."""

COMMIT = f"{GROUP}/commit"
"""On what `pointsman sync` applied: the commit that brought what it is now."""

PRUNE, PRUNE_ALLOW, PRUNE_NEVER = f"{GROUP}/prune", "allow", "never"
"""On what `pointsman sync` applied: whether it is deleted once it has gone from the repository."""

FORCE = f"{GROUP}/force"
"""On a manifest: `true` takes fields from another controller that has them."""

ADOPT = f"{GROUP}/adopt"
"""On a manifest: `true` takes over an object that `pointsman sync` did not make."""

BEFORE = f"{GROUP}/before-adoption"
"""On what spec.adopt took over: what was changed of its spec, as it was, in JSON."""

RECONCILE = f"{GROUP}/reconcile"
"""On a ReleaseRepository: a new value starts a fetch at once."""

COPIES = f"{GROUP}/copies"
"""On a revision's Service: its copies of ConfigMaps as they were made, each with its UID."""
