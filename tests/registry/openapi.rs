//! The OpenAPI document: whole, true, and seen to change.
//!
//! Two files hold what is told: `tests/fixtures/openapi.json` the document, `src/http/openapi/examples.json` the
//! examples in it. After a change that is meant, `BLESS=1 cargo test --test registry openapi` writes both (twice,
//! where the examples changed: they are compiled in), and version control shows what clients will see.

use std::{collections::BTreeMap, path::PathBuf};

use model_registry::http::{route::RouteSpec, routes};
use serde_json::{Value, json};

use crate::support::{ADMIN, READ, Server, WRITES, World, multipart};

const METHODS: [&str; 5] = ["get", "head", "post", "put", "delete"];

fn document_of(server: &Server) -> Value {
    let reply = server.ask("GET", "/openapi.json", &[]);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    reply.json()
}

/// Every operation: path, method, what is told of it.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let of_path = |(path, item): (&'_ String, &'_ Value)| {
        let methods = METHODS.iter().filter(|method| item.get(**method).is_some());
        methods.map(|method| (path.clone(), *method)).collect::<Vec<_>>()
    };
    let named: Vec<_> = paths.flat_map(of_path).collect();
    named
        .into_iter()
        .map(|(path, method)| {
            let (path, item) = document["paths"].as_object().unwrap().get_key_value(&path).unwrap();
            (path.as_str(), method, &item[method])
        })
        .collect()
}

/// Holds a file to what is: compares, or with `BLESS` in the environment replaces it.
#[track_caller]
fn holds_to(file: &str, actual: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(actual).unwrap() + "\n").unwrap();
        return;
    }
    let recorded: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_default())
        .unwrap_or_default();
    let differences = differences("", &recorded, actual);
    assert!(
        differences.is_empty(),
        "{file} is not what the service answers; if that is meant, run \
         `BLESS=1 cargo test --test registry openapi`:\n{}",
        differences.join("\n")
    );
}

fn differences(at: &str, recorded: &Value, actual: &Value) -> Vec<String> {
    match (recorded, actual) {
        (Value::Object(left), Value::Object(right)) => {
            let mut keys: Vec<_> = left.keys().chain(right.keys()).collect();
            keys.sort();
            keys.dedup();
            let difference = |key: &String| match (left.get(key), right.get(key)) {
                (Some(recorded), Some(actual)) => {
                    differences(&format!("{at}/{key}"), recorded, actual)
                }
                (Some(_), None) => vec![format!("{at}/{key} is gone")],
                (None, Some(actual)) => vec![format!("{at}/{key} is new: {actual}")],
                (None, None) => Vec::new(),
            };
            keys.into_iter().flat_map(difference).collect()
        }
        _ if recorded == actual => Vec::new(),
        _ => vec![format!("{at}: {recorded} is now {actual}")],
    }
}

#[test]
fn the_document_tells_exactly_the_route_tables_paths_methods_and_scopes() {
    let world = World::new();
    let document = document_of(&world.serve_writing());
    assert_eq!(document["openapi"], "3.1.0");
    let mut told: Vec<_> = operations(&document)
        .into_iter()
        .map(|(path, method, operation)| {
            let security = &operation["security"];
            let scope = security[0]["bearer"][0].as_str().unwrap_or("none");
            if !security.is_null() {
                assert_eq!(security, &json!([{ "bearer": [scope] }]), "{method} {path}");
            }
            format!("{} {path} {scope}", method.to_uppercase())
        })
        .collect();
    let head = |row: &RouteSpec| (row.describe)().describes_head();
    let mut table: Vec<_> = routes::table(Some(WRITES))
        .into_iter()
        .flat_map(|row| {
            let methods = if head(&row) { vec!["GET", "HEAD"] } else { vec![row.method.as_str()] };
            let scope = row.scope.map_or("none", |scope| scope.as_str());
            methods
                .into_iter()
                .map(|method| format!("{method} {} {scope}", row.path))
                .collect::<Vec<_>>()
        })
        .collect();
    told.sort();
    table.sort();
    assert_eq!(told, table);
    let scheme = &document["components"]["securitySchemes"]["bearer"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&json!("http"), &json!("bearer")));
}

#[test]
fn every_operation_has_a_name_words_parameters_and_the_errors_of_its_door() {
    let world = World::new();
    let document = document_of(&world.serve_writing());
    let mut names = Vec::new();
    for (path, method, operation) in operations(&document) {
        let case = format!("{method} {path}");
        names.push(operation["operationId"].as_str().unwrap());
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{case}");
        assert!(operation["description"].as_str().is_some_and(|text| !text.is_empty()), "{case}");
        let none = Vec::new();
        let parameters = operation["parameters"].as_array().unwrap_or(&none);
        for name in path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()) {
            let is_it = |p: &&Value| p["in"] == "path" && p["name"] == name;
            let parameter =
                parameters.iter().find(is_it).unwrap_or_else(|| panic!("{case}: {name}"));
            let schema = &parameter["schema"];
            assert!(schema["pattern"].is_string() || schema["enum"].is_array(), "{case}: {name}");
        }
        let responses = operation["responses"].as_object().unwrap();
        let codes = |status: &str| responses.get(status).map(|r| r["x-error-codes"].clone());
        assert_eq!(codes("500"), Some(json!(["INTERNAL_ERROR"])), "{case}");
        for (status, response) in responses {
            assert!(response["headers"]["X-Request-Id"].is_object(), "{case} {status}");
            let errors = response["x-error-codes"].is_array();
            let is_error = status.starts_with(['4', '5']);
            assert_eq!(
                errors,
                is_error && !(path == "/ready" && status == "503"),
                "{case} {status}"
            );
            if method == "head" {
                assert!(response["content"].is_null(), "{case} {status}");
            } else if errors {
                let schema = &response["content"]["application/json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/ErrorResponse", "{case} {status}");
            }
        }
        let guarded = !operation["security"].is_null();
        assert_eq!(codes("401").is_some(), guarded, "{case}");
        if guarded {
            assert_eq!(codes("401"), Some(json!(["UNAUTHENTICATED", "INVALID_TOKEN"])), "{case}");
            assert_eq!(codes("403"), Some(json!(["INSUFFICIENT_SCOPE"])), "{case}");
            assert!(responses["401"]["headers"]["WWW-Authenticate"].is_object(), "{case}");
            assert!(responses["503"]["headers"]["Retry-After"].is_object(), "{case}");
        }
        if let Some(not_modified) = responses.get("304") {
            let etag = |response: &Value| response["headers"]["ETag"].is_object();
            assert!(etag(not_modified) && etag(&responses["200"]), "{case}");
        }
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "an operation's name is given twice");
}

#[test]
fn the_document_is_the_recorded_one() {
    let world = World::new();
    holds_to("tests/fixtures/openapi.json", &document_of(&world.serve_writing()));
}

/// Answers of a service over the fixture registry, by the name that the document's examples have.
fn answers() -> BTreeMap<String, Value> {
    let world = World::with_legacy();
    let broken = world.outside("broken.json");
    std::fs::write(&broken, "{\"weights\": [0.25, 0.75").unwrap();
    let mut arguments = World::register_arguments("v3.0.0");
    arguments[2] = broken.to_str().unwrap().to_owned();
    world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    for file in ["v1.0.0/metadata.json", "v1.2.0/model.pkl"] {
        let path = world.path("artifacts/risk_model").join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    let server = world.serve_writing();
    let (read, admin) = (format!("Bearer {READ}"), format!("Bearer {ADMIN}"));
    let ask = |method: &str, path: &str, headers: &[(&str, &str)]| {
        let reply = server.ask(method, path, headers);
        (reply.status, reply.json())
    };
    let mut found = BTreeMap::new();
    let one = "/api/v1/models/risk_model/v1.1.0";
    for (name, method, path) in [
        ("root", "GET", "/"),
        ("health", "GET", "/health"),
        ("ready", "GET", "/ready"),
        ("current", "GET", "/api/v1/models/risk_model/current"),
        ("metadata", "GET", one),
        ("list", "GET", "/api/v1/models/risk_model?status_filter=production&limit=10"),
        ("history", "GET", "/api/v1/models/risk_model/v1.1.0/history"),
        (
            "compatibility",
            "GET",
            "/api/v1/models/risk_model/v1.1.0/compatibility?dataset=crsp:v1.2.4&dataset=compustat:v2.0.0",
        ),
        ("validate", "POST", "/api/v1/models/risk_model/v1.1.0/validate"),
        ("types", "GET", "/api/v1/models"),
        ("type history", "GET", "/api/v1/models/alpha_weights/history?limit=3"),
        ("history of all", "GET", "/api/v1/history?model_type=alpha_weights&limit=2"),
    ] {
        let (status, mut body) = ask(method, path, &[("authorization", &admin)]);
        assert_eq!(status, 200, "{name}: {body}");
        if name == "health" {
            assert!(body["timestamp"].is_string());
            body["timestamp"] = json!("2026-11-23T08:03:38.120394Z");
        }
        // Whoever runs the tests has imported the registry.
        let transitions = body.get_mut("transitions").and_then(Value::as_array_mut);
        for change in transitions.into_iter().flatten() {
            if change["authenticated_as"].is_string() {
                change["authenticated_as"] = json!("ops");
            }
        }
        found.insert(name.to_owned(), body);
    }
    let change = |path: &str, body: &[u8], media: &str| {
        let headers = [("authorization", admin.as_str()), ("content-type", media)];
        let reply = server.send("POST", &format!("/api/v1/models/{path}"), &headers, body);
        (reply.status, reply.json())
    };
    let json = "application/json";
    let form = multipart("v1.3.0", &std::fs::read(crate::support::pickle()).unwrap());
    let (media, body) = (form.media.as_str(), form.body.as_slice());
    let dry_run = ask("GET", &format!("{one}/promotion"), &[("authorization", &admin)]);
    for (name, (status, mut body)) in [
        ("promotion", dry_run),
        ("register", change("risk_model", body, media)),
        ("promote", change("risk_model/v1.3.0/promote", br#"{"reason": "passed review"}"#, json)),
        ("409 INVALID_TRANSITION", change("risk_model/v1.3.0/fail", br#"{"reason": "x"}"#, json)),
        ("409 VERSION_EXISTS", change("risk_model", body, media)),
        ("rollback", change("risk_model/rollback", b"", json)),
        ("fail", change("risk_model/v1.3.0/fail", br#"{"reason": "drifts"}"#, json)),
    ] {
        assert!(body["code"].is_null() || name.starts_with(&status.to_string()), "{name}: {body}");
        // What differs from run to run.
        for (field, value) in [
            ("model_id", json!("3f9ffe7c-8e6b-47ad-acc0-ff2e1247a7ae")),
            ("created_at", json!("2026-11-23T08:03:38.120394Z")),
            ("promoted_at", json!("2026-11-23T08:03:38.120394Z")),
            ("rolled_back_at", json!("2026-11-23T08:03:38.120394Z")),
        ] {
            if !body[field].is_null() {
                body[field] = value;
            }
        }
        if body["check"].is_object() {
            body["check"]["checked_at"] = json!("2026-11-23T08:03:38.120394Z");
        }
        if body["code"].is_null() {
            body.as_object_mut().unwrap().remove("code");
        }
        found.insert(name.to_owned(), body);
    }
    let missing = "/api/v1/models/risk_model/v9.9.9";
    let unpromoted = "/api/v1/models/factor_definitions/current";
    let artifact = format!("{one}/artifact");
    let validate = |version: &str| format!("/api/v1/models/risk_model/{version}/validate");
    let authorized = ("authorization", read.as_str());
    for (name, method, path, headers) in [
        ("401 UNAUTHENTICATED", "GET", one, vec![]),
        ("401 INVALID_TOKEN", "GET", one, vec![("authorization", "Bearer garbage")]),
        ("403 INSUFFICIENT_SCOPE validateModel", "POST", &validate("v1.1.0"), vec![authorized]),
        ("404 MODEL_NOT_FOUND", "GET", missing, vec![authorized]),
        ("404 MODEL_NOT_FOUND getCurrentModel", "GET", unpromoted, vec![authorized]),
        ("404 MODEL_NOT_FOUND listModels", "GET", "/api/v1/models/trees", vec![authorized]),
        ("404 NOT_FOUND", "GET", "/docs/nothing", vec![]),
        ("413 TOO_LARGE", "GET", "/", vec![("content-length", "10000000")]),
        (
            "416 RANGE_NOT_SATISFIABLE",
            "GET",
            &artifact,
            vec![authorized, ("range", "bytes=99999-")],
        ),
        (
            "422 INVALID_REQUEST getCurrentModel",
            "GET",
            "/api/v1/models/risk_model/current?at=yesterday",
            vec![authorized],
        ),
        (
            "422 INVALID_REQUEST getTypeHistory",
            "GET",
            "/api/v1/models/risk_model/history?limit=0",
            vec![authorized],
        ),
        (
            "422 INVALID_REQUEST getHistory",
            "GET",
            "/api/v1/history?action=promot",
            vec![authorized],
        ),
        (
            "422 INVALID_REQUEST",
            "GET",
            "/api/v1/models/risk_model?status_filter=bogus",
            vec![authorized],
        ),
        (
            "422 CHECKSUM_MISMATCH",
            "POST",
            &validate("v1.2.0"),
            vec![("authorization", admin.as_str())],
        ),
        (
            "422 VALIDATION_FAILED",
            "POST",
            &validate("v3.0.0"),
            vec![("authorization", admin.as_str())],
        ),
        ("503 CHECKSUM_MISMATCH", "GET", "/api/v1/models/risk_model/v1.0.0", vec![authorized]),
    ] {
        let (status, body) =
            if name == "413 TOO_LARGE" { too_large(&server) } else { ask(method, path, &headers) };
        let answered = format!("{status} {} ", body["code"].as_str().unwrap());
        assert!(format!("{name} ").starts_with(&answered), "{name}: {status} {body}");
        found.insert(name.to_owned(), body);
    }
    std::fs::remove_file(world.path("manifest.json")).unwrap();
    let (status, body) = ask("GET", "/ready", &[]);
    assert_eq!(status, 503);
    found.insert("not ready".to_owned(), body);
    found
}

/// The answer to a body that is announced larger than any route takes.
fn too_large(server: &Server) -> (u16, Value) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap())
}

#[test]
fn the_examples_are_answers_of_the_running_service() {
    let answers: serde_json::Map<_, _> = answers().into_iter().collect();
    holds_to("src/http/openapi/examples.json", &Value::Object(answers));
}

#[test]
fn every_json_answer_has_an_example_and_every_example_is_what_its_schema_says() {
    let world = World::new();
    let document = document_of(&world.serve_writing());
    let mut checked = 0;
    for (path, method, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let case = format!("{method} {path} {status}");
            let content = &response["content"]["application/json"];
            let mut examples: Vec<&Value> = content.get("example").into_iter().collect();
            if let Some(named) = content["examples"].as_object() {
                examples.extend(named.values().map(|example| &example["value"]));
            }
            if status == "200" && method != "head" && content["schema"]["$ref"].is_string() {
                assert_eq!(examples.len(), 1, "{case}");
            }
            if examples.is_empty() {
                continue;
            }
            let schema = json!({
                "$ref": content["schema"]["$ref"],
                "components": document["components"],
            });
            let options = jsonschema::options().should_validate_formats(true);
            let validator = options.build(&schema).unwrap();
            for example in examples {
                let errors: Vec<_> =
                    validator.iter_errors(example).map(|e| e.to_string()).collect();
                assert!(errors.is_empty(), "{case}: {errors:#?}");
                checked += 1;
            }
        }
    }
    assert!(checked > 40, "{checked}");
}

/// What clients of the Python service know: fields of an answer, their types, and whether they may be null.
const OLD_FIELDS: [(&str, &[(&str, &str)]); 6] = [
    (
        "CurrentModelResponse",
        &[
            ("model_type", "string"),
            ("version", "string"),
            ("checksum", "string"),
            ("dataset_version_ids", "object of string"),
        ],
    ),
    (
        "ModelMetadataResponse",
        &[
            ("model_id", "string"),
            ("model_type", "string"),
            ("version", "string"),
            ("status", "string"),
            ("artifact_path", "string"),
            ("checksum_sha256", "string"),
            ("dataset_version_ids", "object of string"),
            ("snapshot_id", "string"),
            ("factor_list", "array of string"),
            ("parameters", "object of any"),
            ("metrics", "object of number"),
            ("config", "object of any"),
            ("config_hash", "string"),
            ("feature_formulas", "array of string or null"),
            ("env", "EnvironmentMetadataResponse"),
            ("experiment_id", "string or null"),
            ("run_id", "string or null"),
            ("dataset_uri", "string or null"),
            ("qlib_version", "string or null"),
            ("created_at", "string date-time"),
            ("promoted_at", "string date-time or null"),
        ],
    ),
    (
        "EnvironmentMetadataResponse",
        &[
            ("python_version", "string"),
            ("dependencies_hash", "string"),
            ("platform", "string"),
            ("created_by", "string"),
            ("numpy_version", "string"),
            ("polars_version", "string"),
            ("sklearn_version", "string or null"),
            ("cvxpy_version", "string or null"),
        ],
    ),
    (
        "ValidationResultResponse",
        &[
            ("valid", "boolean"),
            ("model_id", "string"),
            ("checksum_verified", "boolean"),
            ("load_successful", "boolean"),
            ("errors", "array of string"),
        ],
    ),
    // Null where the version's sidecar is damaged.
    (
        "ListedModelResponse",
        &[
            ("model_id", "string"),
            ("model_type", "string"),
            ("version", "string"),
            ("status", "string"),
            ("artifact_path", "string"),
            ("checksum_sha256", "string"),
            ("dataset_version_ids", "object of string"),
            ("snapshot_id", "string"),
            ("factor_list", "array of string or null"),
            ("parameters", "object of any or null"),
            ("metrics", "object of number or null"),
            ("config", "object of any or null"),
            ("config_hash", "string"),
            ("feature_formulas", "array of string or null"),
            ("env", "EnvironmentMetadataResponse or null"),
            ("experiment_id", "string or null"),
            ("run_id", "string or null"),
            ("dataset_uri", "string or null"),
            ("qlib_version", "string or null"),
            ("created_at", "string date-time"),
            ("promoted_at", "string date-time or null"),
        ],
    ),
    ("ModelListResponse", &[("models", "array of ListedModelResponse"), ("total", "integer")]),
];

/// A parameter's name, place and type.
type OldParameter = (&'static str, &'static str, &'static str);

/// Its paths: method, path, parameters, and the schema of what it answers with.
const OLD_PATHS: [(&str, &str, &[OldParameter], &str); 6] = [
    ("get", "/", &[], ""),
    ("get", "/health", &[], ""),
    (
        "get",
        "/api/v1/models/{model_type}/current",
        &[("model_type", "path", "string")],
        "CurrentModelResponse",
    ),
    (
        "get",
        "/api/v1/models/{model_type}/{version}",
        &[("model_type", "path", "string"), ("version", "path", "string")],
        "ModelMetadataResponse",
    ),
    (
        "post",
        "/api/v1/models/{model_type}/{version}/validate",
        &[("model_type", "path", "string"), ("version", "path", "string")],
        "ValidationResultResponse",
    ),
    (
        "get",
        "/api/v1/models/{model_type}",
        &[("model_type", "path", "string"), ("status_filter", "query", "string")],
        "ModelListResponse",
    ),
];

/// A schema's type in the table's words.
fn kind(document: &Value, schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        let target = &document["components"]["schemas"][name];
        return if target["type"] == "object" { name.to_owned() } else { kind(document, target) };
    }
    if let Some([first, second]) = schema["oneOf"].as_array().map(Vec::as_slice) {
        assert_eq!(second["type"], "null");
        return format!("{} or null", kind(document, first));
    }
    let (name, null) = match &schema["type"] {
        Value::Array(types) => (types[0].as_str().unwrap(), " or null"),
        name => (name.as_str().unwrap_or("any"), ""),
    };
    let of = match name {
        "array" => format!(" of {}", kind(document, &schema["items"])),
        "object" => match &schema["additionalProperties"] {
            Value::Bool(true) => " of any".to_owned(),
            inner => format!(" of {}", kind(document, inner)),
        },
        "string" if schema["format"] == "date-time" => " date-time".to_owned(),
        _ => String::new(),
    };
    format!("{name}{of}{null}")
}

#[test]
fn every_path_parameter_and_field_of_the_python_service_is_here_with_its_type() {
    let world = World::new();
    let document = document_of(&world.serve_writing());
    for (name, fields) in OLD_FIELDS {
        let schema = &document["components"]["schemas"][name];
        let required = schema["required"].as_array().unwrap();
        for (field, expected) in fields {
            let told = &schema["properties"][*field];
            assert!(!told.is_null(), "{name}.{field} is gone");
            assert_eq!(&kind(&document, told), expected, "{name}.{field}");
            assert!(required.contains(&json!(field)), "{name}.{field} may be left out");
        }
    }
    for (method, path, parameters, answer) in OLD_PATHS {
        let operation = &document["paths"][path][method];
        for (name, place, expected) in parameters {
            let told = operation["parameters"].as_array().unwrap().iter();
            let mut told = told.filter(|p| p["name"] == **name && p["in"] == **place);
            let parameter =
                told.next().unwrap_or_else(|| panic!("{method} {path}: {name} is gone"));
            assert_eq!(&kind(&document, &parameter["schema"]), expected, "{method} {path}: {name}");
            assert_eq!(parameter["required"], json!(*place == "path"), "{method} {path}: {name}");
        }
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        let target = schema["$ref"].as_str().unwrap();
        assert!(
            target.ends_with(&format!("/{answer}")) || answer.is_empty(),
            "{method} {path}: {target}"
        );
    }
    let error = &document["components"]["schemas"]["ErrorResponse"];
    assert_eq!(error["required"], json!(["detail", "code"]));
    let root = &document["components"]["schemas"]["ServiceResponse"]["required"];
    assert_eq!(root, &json!(["service", "version", "description", "docs", "health", "api"]));
    let health = &document["components"]["schemas"]["HealthResponse"]["required"];
    assert_eq!(health, &json!(["status", "service", "timestamp"]));
}

#[test]
fn the_document_may_be_kept_and_asked_about_again() {
    let world = World::new();
    let server = world.serve();
    let reply = server.ask("GET", "/openapi.json", &[]);
    let tag = reply.header("etag").unwrap();
    assert!(reply.header("cache-control").unwrap().contains("no-cache"));
    let again = server.ask("GET", "/openapi.json", &[("if-none-match", tag)]);
    assert_eq!((again.status, again.body.len()), (304, 0));
}
