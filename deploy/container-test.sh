#!/usr/bin/env bash
# Builds the image and runs it as an orchestrator would, without a daemon: read-only root, no capabilities, no new
# privileges, 128 MB. Imports the legacy registry of the tests into a volume, serves it, sends requests, stops it under
# load, and prints the image's size, the memory used, and how long a start takes.
#
#   sudo deploy/container-test.sh               # builds first; some fifteen minutes the first time, on two cores
#   sudo deploy/container-test.sh --no-build    # tests the existing image
#
# Needs Debian 12 or later, root, and: apt-get install buildah podman runc debootstrap curl python3
# If no registry of images can be reached, deploy/base-images.sh makes the base image; otherwise name it:
#   RUST_IMAGE=docker.io/library/rust:1.95-bookworm sudo -E deploy/container-test.sh
set -euo pipefail
cd "$(dirname "$0")/.."

image=localhost/model-registry
port=${PORT:-18103}
url=http://127.0.0.1:$port
read_token=$(head -c 24 /dev/urandom | base64 | tr -d '+/=')
admin_token=$(head -c 24 /dev/urandom | base64 | tr -d '+/=')

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

for program in buildah podman runc curl python3; do
  command -v "$program" >/dev/null || fail "$program is missing: apt-get install buildah podman runc debootstrap curl python3"
done
[ "$(id -u)" = 0 ] || fail "run this as root"

# cgroupfs: there may be no systemd here. For the same reason the script runs the health check itself.
pod() { podman --runtime "$(command -v runc)" --cgroup-manager cgroupfs "$@"; }
# The options of an orchestrator, except for the two ulimits: runc may not raise those of this shell.
hardened=(--network host --no-healthcheck --read-only --cap-drop all --security-opt no-new-privileges --memory 128m
  --ulimit nofile=1024:4096 --ulimit nproc=1024:4096)

work=$(mktemp -d)
volume=model-registry-test-$$
container=model-registry-test-$$
cleanup() {
  [ -z "${clients:-}" ] || kill $clients 2>/dev/null || true
  [ -z "${dns:-}" ] || kill "$dns" 2>/dev/null || true
  pod rm -f -t 0 "$container" >/dev/null 2>&1 || true
  pod volume rm -f "$volume" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT

if [ "${1:-}" != --no-build ]; then
  step "building"
  pull=()
  if [ -z "${RUST_IMAGE:-}" ]; then
    deploy/base-images.sh
    RUST_IMAGE=localhost/rust:1.95-bookworm
    pull=(--pull-never)
  fi
  # The mount is for the build's own downloads, on machines whose network has a certificate authority of its own; it
  # leaves nothing in the image. HEALTHCHECK is kept only in docker's format.
  buildah bud --format docker --isolation chroot "${pull[@]}" --layers --build-arg RUST_IMAGE="$RUST_IMAGE" \
    --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
    -v /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro -t "$image" .
fi

step "what is in the image"
size=$(podman image inspect --format '{{.Size}}' "$image")
[ "$size" -le 40000000 ] || fail "the image is $size bytes, more than 40 MB"
[ "$(podman image inspect --format '{{.User}}' "$image")" = 10001:10001 ] || fail "the image's user is not a number"
mounted=$(podman image mount "$image")
(cd "$mounted" && find . -type f | sort) >"$work/files"
cat "$work/files"
printf '%s\n' ./etc/nsswitch.conf ./etc/ssl/certs/ca-certificates.crt ./model-registry | diff - "$work/files" ||
  fail "the image holds other files than the program, the root certificates and nsswitch.conf"
podman image unmount "$image" >/dev/null

step "import onto a volume"
pod volume create "$volume" >/dev/null
pod run --rm "${hardened[@]}" -v "$volume:/data" -v "$PWD/tests/fixtures/legacy-registry:/legacy:ro" "$image" import /legacy

step "serve"
begin=$(date +%s%N)
pod run -d --name "$container" "${hardened[@]}" -v "$volume:/data" -e MODEL_REGISTRY_HOST=127.0.0.1 \
  -e MODEL_REGISTRY_PORT="$port" -e MODEL_REGISTRY_READ_TOKEN="$read_token" \
  -e MODEL_REGISTRY_ADMIN_TOKEN="$admin_token" -e ALLOWED_ORIGINS=https://trading.example.com \
  -e MODEL_REGISTRY_DRAIN_SECONDS=2 "$image" >/dev/null
until curl -fso /dev/null "$url/ready"; do
  [ "$(pod inspect --format '{{.State.Running}}' "$container")" = true ] || { pod logs "$container"; fail "it ended"; }
  [ $(($(date +%s%N) - begin)) -lt 20000000000 ] || { pod logs "$container"; fail "it is not ready after 20 s"; }
  sleep 0.01
done
cold=$((($(date +%s%N) - begin) / 1000000))
pid=$(pod inspect --format '{{.State.Pid}}' "$container")
pod exec "$container" /model-registry health
pod exec "$container" /model-registry health --ready
grep -E '^(Uid|NoNewPrivs|CapEff|Seccomp):' "/proc/$pid/status"
# The warnings of the start; if the sandbox of load checks does not work, one says so.
pod logs "$container" 2>&1 | grep -E '"level":"(WARN|ERROR)"' || echo "no warnings"

step "questions"
ask() { curl -sS --fail-with-body -H "Authorization: Bearer $1" "${@:3}" "$url/api/v1/models/$2"; echo; }
ask "$read_token" risk_model/current
ask "$read_token" risk_model/v1.1.0/artifact -o "$work/artifact" -w '%{http_code} %{size_download}'
cmp "$work/artifact" tests/fixtures/legacy-registry/artifacts/risk_model/v1.1.0/model.pkl
ask "$admin_token" risk_model/v1.1.0/validate -X POST | tee "$work/validated"
grep -q '"valid":true' "$work/validated" || fail "the load check did not pass"

step "names, by /etc/hosts and by DNS (the program is static: nothing else may be needed to look one up)"
pod run --rm "${hardened[@]}" --add-host registry.test:127.0.0.1 "$image" health --url "http://registry.test:$port"
python3 - "$work/dns" <<'PYTHON' &
import socket, sys
answers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
answers.bind(("127.0.0.99", 53))
open(sys.argv[1], "ab").close()
while True:
    query, client = answers.recvfrom(512)
    question = query[12:query.index(b"\0", 12) + 5]
    asked_for_ipv4 = question[-4:-2] == b"\0\1"
    head = query[:2] + b"\x81\x80\0\1" + (b"\0\1" if asked_for_ipv4 else b"\0\0") + b"\0\0\0\0"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if asked_for_ipv4 else b""
    answers.sendto(head + question + record, client)
    open(sys.argv[1], "ab").write(query)
PYTHON
dns=$!
for _ in $(seq 100); do [ -e "$work/dns" ] && break; sleep 0.1; done
pod run --rm "${hardened[@]}" --dns 127.0.0.99 "$image" health --url "http://registry.example:$port"
grep -q registry "$work/dns" || fail "the name server was not asked"

step "SIGTERM under requests"
# Each client sends requests in a loop. Once the port is closed a new connection is refused (curl's 7), as expected;
# any other failure is an interrupted request.
for client in 1 2 3 4 5 6 7 8; do
  (
    while true; do
      status=0
      curl -sS -w '%{http_code}\n' -H "Authorization: Bearer $read_token" -o /dev/null -o /dev/null -o /dev/null \
        "$url/api/v1/models/risk_model/"{current,v1.1.0,v1.1.0/artifact} >>"$work/answers.$client" 2>/dev/null || status=$?
      [ "$status" = 0 ] || { echo "$status" >"$work/ended.$client"; break; }
    done
  ) &
  clients="${clients:-} $!"
done
sleep 3
grep -E '^Vm(HWM|RSS):' "/proc/$pid/status"
memory=$(awk '/^VmHWM:/ {print int($2 / 1024)}' "/proc/$pid/status")
begin=$(date +%s%N)
pod stop -t 60 "$container" >/dev/null
stopped=$((($(date +%s%N) - begin) / 1000000))
# shellcheck disable=SC2086
wait $clients || true
clients=
answered=$(cat "$work"/answers.* | grep -c '^200$')
other=$(cat "$work"/answers.* | grep -cv -e '^200$' -e '^000$' || true)
echo "answered: $answered; with another status than 200: $other; how the clients' last requests ended: $(sort "$work"/ended.* | uniq -c | xargs)"
[ "$other" = 0 ] || fail "requests were refused while it stopped"
[ "$(sort -u "$work"/ended.*)" = 7 ] || fail "a request was broken off"
exit_status=$(pod inspect --format '{{.State.ExitCode}}' "$container")
pod logs "$container" 2>&1 | grep -v '"message":"request"' | tail -4
[ "$exit_status" = 0 ] || fail "exit status $exit_status"
[ "$(pod inspect --format '{{.State.OOMKilled}}' "$container")" = false ] || fail "out of memory"

step "afterwards"
pod run --rm "${hardened[@]}" -v "$volume:/data" "$image" verify

printf '\nimage %s MB · most memory %s MB · cold start %s ms, the container'"'"'s own making included · stop %s ms, of which the drain 2000 · exit %s\n' \
  "$(awk "BEGIN {printf \"%.1f\", $size / 1e6}")" "$memory" "$cold" "$stopped" "$exit_status"
