#!/usr/bin/env bash
# Checks each file of this folder with the program that it is for, or with one that knows its schema:
#
#   deploy/check.sh
#
# Debian: apt-get install nginx haproxy prometheus docker-compose openssl python3-venv; kubernetes-validate comes from
# PyPI, once, into a virtual environment of its own.
set -euo pipefail
cd "$(dirname "$0")"
PATH=$PATH:/usr/sbin

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
step() { printf '\n== %s\n' "$*"; }

step "a certificate to read"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost \
  -keyout "$work/tls.key" -out "$work/tls.crt" 2>/dev/null
mkdir "$work/pem" && cat "$work/tls.crt" "$work/tls.key" >"$work/pem/edge.pem"

step "nginx.conf"
# Names of replicas are looked up when the file is read; here they resolve to this machine.
sed "s#/tmp/#$work/#; s#/etc/nginx/tls#$work#; s#registry-[12]:8003#127.0.0.1:8003#" nginx.conf >"$work/nginx.conf"
nginx -t -c "$work/nginx.conf"

step "haproxy.cfg"
sed "s#/usr/local/etc/haproxy/tls#$work/pem#; s# registry-[12]:8003# 127.0.0.1:8003#" haproxy.cfg >"$work/haproxy.cfg"
haproxy -c -f "$work/haproxy.cfg"
echo

step "compose.yaml"
if docker compose version >/dev/null 2>&1; then docker compose -f compose.yaml config --quiet; else docker-compose -f compose.yaml config --quiet; fi
echo "valid"

step "kubernetes/"
tools=${XDG_CACHE_HOME:-$HOME/.cache}/model-registry-deploy-check
if ! [ -x "$tools/bin/kubernetes-validate" ]; then
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet kubernetes-validate
fi
find kubernetes -name '*.yaml' ! -name kustomization.yaml -print0 | sort -z | xargs -0 "$tools/bin/kubernetes-validate" --strict
for file in kubernetes/*.yaml; do
  name=$(basename "$file")
  case $name in kustomization.yaml | secret.example.yaml) continue ;; esac
  grep -q "^  - $name$" kubernetes/kustomization.yaml || { echo "kustomization.yaml lacks $name"; exit 1; }
done

step "alerts.yaml"
promtool check rules alerts.yaml
promtool test rules alerts.test.yaml

step "grafana-dashboard.json"
# Every query of the dashboard, as rules that Prometheus reads.
python3 - grafana-dashboard.json >"$work/questions.json" <<'PYTHON'
import json, sys
board = json.load(open(sys.argv[1]))
questions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]), "ids of panels repeat"
text = lambda question: question.replace("$__rate_interval", "5m").replace("$instance", ".*")
rules = [{"record": f"question_{at}", "expr": text(question)} for at, question in enumerate(questions)]
print(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
PYTHON
promtool check rules "$work/questions.json"

step "all were read"
