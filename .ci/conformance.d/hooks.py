"""What schemathesis must know about this registry: existing names, error codes, and the answers that must occur.

Without names that exist nearly every made-up request would be a 404; and a run that never met an answer says
nothing of it, so that the run fails where a documented one was not met.
"""

import atexit
import collections
import json
import os
import threading

import schemathesis
from hypothesis import strategies as st

# From tests/fixtures/legacy-registry, and two that .ci/conformance registers: v3.0.0, which would not load, and v3.1.0, whose
# artifact was removed.
VERSIONS = {
    "risk_model": ["v1.0.0", "v1.1.0", "v1.2.0", "v2.0.0", "v3.0.0", "v3.1.0", "v9.9.9"],
    "alpha_weights": ["v1.0.0", "v1.0.1"],
    "feature_transforms": ["v0.9.0", "v1.0.0", "v1.10.0"],
    "factor_definitions": ["v1.0.0"],
}
NAMES = [{"model_type": kind, "version": version} for kind in VERSIONS for version in VERSIONS[kind]]
RANGES = ["bytes=0-9", "bytes=-5", "bytes=3-", "bytes=99999-", "bytes=0-0,5-6", "lines=1-2"]

# Statuses that may not occur in a run over a sound registry with a token that has every scope.
NOT_MET = {"400", "401", "403", "408", "413", "414", "421", "431", "500", "503"}

seen = collections.Counter()
lock = threading.Lock()


def exists(case, names, headers):
    """Replaces generated names with existing ones, if the generated ones are valid."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return case
    if names and case.path_parameters:
        for name in case.path_parameters:
            if name in names:
                case.path_parameters[name] = names[name]
    known = {p.name for p in case.operation.headers}
    for name, value in (headers or {}).items():
        if name in known:
            case.headers[name] = value
    return case


@schemathesis.hook
def before_generate_case(context, strategy):
    names = st.one_of(st.none(), st.sampled_from(NAMES), st.sampled_from(NAMES))
    headers = st.one_of(
        st.none(),
        st.just({"If-None-Match": "*"}),
        st.sampled_from(RANGES).map(lambda value: {"Range": value}),
    )
    return st.builds(exists, strategy, names, headers)


@schemathesis.hook
def before_add_examples(context, examples):
    """Each version and each condition once, so that they do not depend on chance."""
    operation = context.operation
    parameters = {parameter.name for parameter in operation.path_parameters}
    headers = {parameter.name for parameter in operation.headers}
    sent = [{}]
    sent += [{"If-Match": '"0"'}] if "If-Match" in headers else []
    sent += [{"If-None-Match": "*"}] if "If-None-Match" in headers else []
    sent += [{"Range": value} for value in RANGES] if "Range" in headers else []
    if parameters == {"model_type", "version"}:
        paths = NAMES
    elif parameters == {"model_type"}:
        paths = [{"model_type": kind} for kind in VERSIONS]
    elif parameters == {"asset"}:
        paths = [{"asset": "start.js"}]
    elif not parameters and len(sent) > 1:
        paths = [{}]
    else:
        return
    examples.extend(operation.Case(path_parameters=dict(path), headers=dict(header)) for path in paths for header in sent)


@schemathesis.deserializer("application/octet-stream")
def bytes_as_text(context, response):
    return response.content.decode("latin-1")


@schemathesis.hook
def after_call(context, case, response):
    with lock:
        seen[case.operation.label, response.status_code] += 1


@schemathesis.check
def error_code_is_documented(ctx, response, case):
    if response.status_code < 400 or case.method == "HEAD":
        return
    code = response.json()["code"]
    told = case.operation.definition.raw["responses"].get(str(response.status_code))
    if told is None:
        # The check of undocumented methods also calls this.
        assert (response.status_code, code) == (405, "METHOD_NOT_ALLOWED"), f"{code} is not documented"
    elif "x-error-codes" in told:
        assert code in told["x-error-codes"], f"{code} is not documented"


@atexit.register
def write_what_was_seen():
    path = os.environ.get("CONFORMANCE_SEEN")
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump([[label, status, count] for (label, status), count in sorted(seen.items())], file)


def main():
    """`hooks.py DOCUMENT SEEN`: prints the answers that occurred, and fails if a documented one did not."""
    import sys

    document = json.load(open(sys.argv[1], encoding="utf-8"))
    met = {(label, str(status)): count for label, status, count in json.load(open(sys.argv[2], encoding="utf-8"))}
    missing = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            label = f"{method.upper()} {path}"
            counts = {status: count for (name, status), count in met.items() if name == label}
            print(f"{label}: " + " ".join(f"{status}×{counts[status]}" for status in sorted(counts)))
            missing += [f"{label}: {s}" for s in operation["responses"] if s not in NOT_MET and s not in counts]
    print(f"{sum(met.values())} requests")
    if missing:
        sys.exit("documented, and never met:\n" + "\n".join(missing))


if __name__ == "__main__":
    main()
