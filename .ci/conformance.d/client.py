"""The Python client that openapi-python-client generated, against the running service: `client.py URL READ ADMIN`."""

import hashlib
import sys
from http import HTTPStatus

from model_registry_api_client import AuthenticatedClient, Client
from model_registry_api_client.api.models import (
    download_artifact,
    download_artifact_headers,
    get_current_model,
    get_model_history,
    get_model_metadata,
    list_models,
    validate_model,
)
from model_registry_api_client.api.service import health, ready, root
from model_registry_api_client.models import ErrorResponse, ModelStatus

url, read, admin = sys.argv[1:]
nobody = Client(base_url=url, raise_on_unexpected_status=True)
reader = AuthenticatedClient(base_url=url, token=read, raise_on_unexpected_status=True)
administrator = AuthenticatedClient(base_url=url, token=admin, raise_on_unexpected_status=True)
asked = 0


def answer(module, status, client=reader, **arguments):
    """Sends a request, and checks the status of the answer."""
    global asked
    asked += 1
    reply = module.sync_detailed(client=client, **arguments)
    assert reply.status_code == status, (module.__name__, reply.status_code, reply.content)
    return reply


assert answer(root, 200, nobody).parsed.service == "Model Registry API"
assert answer(health, 200, nobody).parsed.status == "healthy"
assert all(component.ready for component in answer(ready, 200, nobody).parsed.components)

current = answer(get_current_model, 200, model_type="risk_model")
assert current.parsed.version == "v1.1.0"
assert current.parsed.dataset_version_ids["crsp"] == "v1.2.1"
tag = current.headers["etag"]
answer(get_current_model, HTTPStatus.NOT_MODIFIED, model_type="risk_model", if_none_match=tag)

version = {"model_type": "risk_model", "version": current.parsed.version}
metadata = answer(get_model_metadata, 200, **version).parsed
assert metadata.status is ModelStatus.PRODUCTION
assert metadata.checksum_sha256 == current.parsed.checksum
assert metadata.metrics["paper_trade_hours"] == 48.0
assert metadata.parameters["factor_list"] == ["size", "value"]
assert metadata.created_at.tzinfo is not None and metadata.promoted_at > metadata.created_at
assert metadata.env.python_version == "3.11.2" and metadata.env.cvxpy_version is None

page = answer(list_models, 200, model_type="risk_model", limit=2, offset=1).parsed
assert len(page.models) == 2 and page.total == 6, page.total
assert page.models[0].created_at >= page.models[1].created_at
archived = answer(list_models, 200, model_type="risk_model", status_filter=ModelStatus.ARCHIVED).parsed
assert [model.version for model in archived.models] == ["v1.0.0"]

history = answer(get_model_history, 200, **version).parsed.transitions
assert history[0].from_status is None and history[0].to_status is ModelStatus.STAGED
assert history[-1].to_status is ModelStatus.PRODUCTION

whole = answer(download_artifact, 200, **version).parsed.payload.read()
assert hashlib.sha256(whole).hexdigest() == metadata.checksum_sha256
part = answer(download_artifact, HTTPStatus.PARTIAL_CONTENT, range_="bytes=0-9", **version)
assert part.parsed.payload.read() == whole[:10]
assert part.headers["content-range"] == f"bytes 0-9/{len(whole)}"
assert answer(download_artifact_headers, 200, **version).headers["content-length"] == str(len(whole))

result = answer(validate_model, 200, administrator, **version).parsed
assert result.valid and result.checksum_verified and result.load_successful and result.errors == []


def refused(module, status, code, client=reader, **arguments):
    """Sends a request that must be refused, and checks status and code."""
    error = answer(module, status, client, **arguments).parsed
    assert isinstance(error, ErrorResponse) and error.code == code, error


refused(get_model_metadata, 404, "MODEL_NOT_FOUND", model_type="risk_model", version="v9.9.9")
refused(get_current_model, 404, "MODEL_NOT_FOUND", model_type="nothing")
refused(get_current_model, 401, "UNAUTHENTICATED", nobody, model_type="risk_model")
stranger = AuthenticatedClient(base_url=url, token="garbage", raise_on_unexpected_status=True)
refused(get_current_model, 401, "INVALID_TOKEN", stranger, model_type="risk_model")
refused(validate_model, 403, "INSUFFICIENT_SCOPE", **version)
broken = {"model_type": "risk_model", "version": "v3.0.0"}
refused(validate_model, 422, "VALIDATION_FAILED", administrator, **broken)
refused(download_artifact, 416, "RANGE_NOT_SATISFIABLE", range_="bytes=99999-", **version)
refused(list_models, 422, "INVALID_REQUEST", model_type="risk_model", limit=0)

print(f"{asked} requests, answered as documented")
