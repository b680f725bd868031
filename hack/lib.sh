# Sourced by every script of this folder: brings uv where there is none, goes to
# the top of the checkout, and defines `run`, which runs in the locked environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cache="${XDG_CACHE_HOME:-$HOME/.cache}/pointsman"
export UV_PYTHON_DOWNLOADS=never # a package registry is enough: the machine's own Python serves
if ! command -v uv >/dev/null; then
  export PATH="$cache/uv/bin:$PATH"
  if ! command -v uv >/dev/null; then
    python3 -m venv "$cache/uv" 2>/dev/null || {
      echo "hack: python3 (3.11 or later) with venv is needed: apt-get install python3-venv" >&2
      exit 2
    }
    "$cache/uv/bin/pip" install --quiet 'uv>=0.9'
  fi
fi
# A distribution's Python was built with profiles, and is what the images run; one compiled without takes twice as long.
if [ -z "${UV_PYTHON:-}" ] && /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  export UV_PYTHON=/usr/bin/python3
fi
# Tests and tools start many short processes: each would compile what it imports again.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX="$PWD/.venv/pycache" UV_COMPILE_BYTECODE=1
[ -d .venv ] || echo "making the Python environment in .venv, once" >&2
# Brought by a test that needs them, so that the first run of a demo does not grow.
integration_programs=(etcd kube-apiserver kube-controller-manager kubectl gateway-api influxd gitea gitea-files
  kustomize-controller kustomize-controller-crds argo-cd-rules argo-cd-compare helm kapacitord telegraf-node crane)
# beside the cluster's own
e2e_programs=(gitea gitea-files kustomize-controller kustomize-controller-crds telegraf-node metrics-server)
keda_programs=(keda-operator keda-adapter keda-crds)
kind_programs=(kind kind-node-files kubeadm helm)
run() { uv run --locked --quiet "$@"; }
# Without what only tests and checks need, a gigabyte, and compiled as it is imported: a demo's first run is short. What is
# there already stays.
run_lean() { UV_COMPILE_BYTECODE=0 run --no-dev --group worker --group invitations "$@"; }
