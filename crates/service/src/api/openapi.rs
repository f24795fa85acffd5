//! The API's OpenAPI 3.1 document, made of the same table as its routes.

use axum::response::Response;
use ca::{Permission, Role};
use serde_json::{Map, Value, json};

use super::{OPERATIONS, Operation, ok};

pub(super) async fn serve() -> Response {
    ok(&document())
}

/// The document.
pub(crate) fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = describe(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "countersign's authority",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Callers are known by their client certificate (mTLS). What a caller may do is its role: \
                            admin, operator, auditor, enroller or gateway.",
        },
        "paths": paths,
        "components": {
            "schemas": all_schemas(),
            "securitySchemes": { "clientCertificate": { "type": "mutualTLS" } },
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    for (name, meaning) in operation.query {
        let is_number =
            name.ends_with("seconds") || matches!(*name, "limit" | "start" | "from" | "to" | "line");
        let kind = if is_number { "integer" } else { "string" };
        parameters
            .push(json!({ "name": name, "in": "query", "description": meaning, "schema": { "type": kind } }));
    }
    let reference = |name: &str| json!({ "schema": { "$ref": format!("#/components/schemas/{name}") } });
    let good = if matches!(operation.answer, "Invited" | "Signed") { "201" } else { "200" };
    let media = match operation.answer {
        "Feed" => "text/event-stream",
        "Metrics" => "text/plain",
        _ => "application/json",
    };
    let mut responses = json!({
        good: { "description": "Done", "content": { media: reference(operation.answer) } },
        "default": { "description": "Not done, and why",
                     "content": { "application/problem+json": reference("Problem") } },
    });
    if operation.permission.is_some() {
        responses["401"] = json!({ "description": "No client certificate of this authority that is good now",
                                   "content": { "application/problem+json": reference("Problem") } });
        responses["403"] = json!({ "description": "The caller's role does not allow this",
                                   "content": { "application/problem+json": reference("Problem") } });
    }
    let mut described = json!({
        "operationId": operation_id(operation),
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(permission) = operation.permission {
        described["security"] = json!([{ "clientCertificate": [] }]);
        described["x-roles"] = json!(roles(permission));
    }
    if let Some(request) = operation.request {
        described["requestBody"] =
            json!({ "required": true, "content": { "application/json": reference(request) } });
    }
    described
}

/// A name for generated clients: `get_certificates_which`.
fn operation_id(operation: &Operation) -> String {
    let path = operation.path.trim_start_matches("/api/v1/").replace(['/', '.'], "_").replace(['{', '}'], "");
    format!("{}_{path}", operation.method)
}

fn roles(permission: Permission) -> Vec<&'static str> {
    Role::ALL.into_iter().filter(|role| role.allows(permission)).map(Role::name).collect()
}

/// The schemas of all parts. One literal of them would be too long for the compiler's patience with macros.
fn all_schemas() -> Value {
    let mut all = schemas();
    for more in [refusal_schemas(), handshake_schemas()] {
        if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
            all.extend(more);
        }
    }
    all
}

fn schemas() -> Value {
    let text = || json!({ "type": "string" });
    let optional = || json!({ "type": ["string", "null"] });
    let number = || json!({ "type": "integer" });
    let yes_or_no = || json!({ "type": "boolean" });
    let texts = || json!({ "type": "array", "items": { "type": "string" } });
    let list =
        |of: &str| json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{of}") } });
    let object = |required: &[&str], properties: Value| json!({ "type": "object", "required": required, "properties": properties });
    let paged = |name: &str, of: &str| object(&[name, "next"], json!({ name: list(of), "next": optional() }));
    let names = json!({ "common_name": optional(), "organization": optional(), "organizational_units": texts(),
                        "dns": texts(), "ip": texts(), "email": texts(), "uri": texts() });
    json!({
        "Problem": object(&["type", "title", "status", "detail"],
            json!({ "type": text(), "title": text(), "status": number(), "detail": text() })),
        "Document": { "type": "object" },
        "Feed": { "type": "string" },
        "Metrics": { "type": "string" },
        "Caller": object(&["name", "role"], json!({ "name": optional(), "role": optional() })),
        "Names": object(&[], names),
        "Certificate": object(
            &["name", "profile", "state", "serial_number", "not_before", "not_after", "issued_at", "requested_by"],
            json!({ "name": text(), "profile": text(), "state": text(), "serial_number": text(), "subject": optional(),
                    "subject_alt_name": { "type": ["array", "null"], "items": { "type": "string" } },
                    "not_before": text(), "not_after": text(), "issued_at": text(), "requested_by": text(),
                    "replaces": optional(), "line": number(), "location": optional(), "revoked_at": optional(),
                    "revocation_reason": optional(), "sha256": optional(), "pem": text(), "contact": optional() })),
        "Certificates": object(&["certificates", "more"], json!({ "certificates": list("Certificate"), "more": yes_or_no(), "next": optional(), "chain": text() })),
        "Sign": object(&["profile", "request"],
            json!({ "profile": text(), "request": text(), "label": optional(),
                    "names": { "$ref": "#/components/schemas/Names" }, "lifetime_seconds": number() })),
        "Signed": object(&["name", "serial_number", "not_after", "sha256", "ignored", "pem", "anchor"],
            json!({ "name": text(), "serial_number": text(), "not_after": text(), "sha256": text(), "ignored": texts(),
                    "pem": text(), "anchor": text() })),
        "Statistics": object(
            &["good", "revoked", "expired", "expiring_within_30_days", "by_day", "expiring_by_week", "audit_length"],
            json!({ "good": number(), "revoked": number(), "expired": number(), "expiring_within_30_days": number(),
                    "by_day": list("Day"), "expiring_by_week": list("Week"), "audit_length": number() })),
        "Day": object(&["day", "issued", "revoked"],
            json!({ "day": text(), "issued": number(), "revoked": number() })),
        "Week": object(&["week", "count"], json!({ "week": text(), "count": number() })),
        "Revoke": object(&["which"], json!({ "which": text(), "reason": text() })),
        "Release": object(&["which"], json!({ "which": text() })),
        "NewInvite": object(&["name", "names"],
            json!({ "name": text(), "names": { "$ref": "#/components/schemas/Names" }, "profile": text(),
                    "lifetime_seconds": number(), "uses": number(), "open_seconds": number(), "approve": yes_or_no(),
                    "partner": optional(), "contact": optional() })),
        "Use": object(&["key_sha256", "at", "from", "stage", "serial_number", "kind_of_key", "requested_names"],
            json!({ "key_sha256": text(), "at": text(), "from": text(), "stage": text(), "serial_number": optional(),
                    "kind_of_key": text(), "requested_names": texts() })),
        "Invite": object(&["handle", "name", "names", "profile", "state", "uses", "left", "expires", "approve", "used"],
            invite_properties()),
        "Invited": {
            "allOf": [{ "$ref": "#/components/schemas/Invite" },
                      object(&["code", "link"], json!({ "code": text(), "link": text() }))],
        },
        "Invites": paged("invites", "Invite"),
        "Decision": object(&["approve"], json!({ "approve": yes_or_no(), "key_sha256": text() })),
        "NewPartner": object(&[], json!({ "contact": optional(), "most_certificates": number() })),
        "Partner": object(&["name", "contact", "most_certificates", "certificates"],
            json!({ "name": text(), "contact": optional(), "most_certificates": number(),
                    "certificates": { "type": ["integer", "null"] } })),
        "Partners": paged("partners", "Partner"),
        "NewIdentity": object(&[], json!({ "partner": optional(), "contact": optional(), "role": optional() })),
        "Identity": object(&["name", "partner", "contact", "role"],
            json!({ "name": text(), "partner": optional(), "contact": optional(), "role": optional() })),
        "Identities": paged("identities", "Identity"),
        "Event": object(&["sequence", "at", "who", "from", "what", "why", "hash"],
            json!({ "sequence": number(), "at": text(), "who": text(), "from": text(), "what": text(),
                    "serial_number": optional(), "why": text(), "hash": text() })),
        "Events": object(&["events", "next", "length"],
            json!({ "events": list("Event"), "next": optional(), "length": number() })),
        "Log": object(&["origin", "size", "root_hash", "checkpoint", "issuer", "anchor"],
            json!({ "origin": text(), "size": number(), "root_hash": text(), "checkpoint": text(), "issuer": text(),
                    "anchor": text(), "issuers": texts(), "crosses": texts() })),
        "Proof": object(&["name", "index", "size", "certificate", "proof"],
            json!({ "name": text(), "index": number(), "size": number(), "certificate": text(), "proof": text() })),
        "Consistency": object(&["from", "to", "path"],
            json!({ "from": number(), "to": number(), "path": texts() })),
        "Entries": object(&["start", "entries"], json!({ "start": number(), "entries": texts() })),
    })
}

fn refusal_schemas() -> Value {
    let (text, number) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    let optional = json!({ "type": ["string", "null"] });
    let list =
        |of: &str| json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{of}") } });
    json!({
        "Refusal": {
            "type": "object",
            "required": ["number", "at", "gateway", "from", "code", "fault", "message"],
            "properties": {
                "number": number, "at": text, "gateway": optional, "from": text, "code": text, "fault": text,
                "message": text, "subject": optional, "serial_number": optional,
                "report": { "type": "object" }, "conversation": { "type": ["object", "null"] },
            },
        },
        "Refusals": {
            "type": "object",
            "required": ["refusals", "last", "total", "by_hour", "by_day"],
            "properties": {
                "refusals": list("Refusal"),
                "last": { "type": "integer", "description": "the number of the newest" },
                "total": { "type": "integer", "description": "in the hours of by_hour, those that were not kept too" },
                "by_hour": list("Hour"),
                "by_day": { "type": "array", "items": { "type": "object" } },
            },
        },
        "Hour": {
            "type": "object",
            "required": ["hour", "codes"],
            "properties": { "hour": text, "codes": { "type": "object", "additionalProperties": number } },
        },
        "RefusalReport": {
            "type": "object",
            "required": ["at", "from", "code", "message"],
            "properties": {
                "at": text, "from": text, "code": text, "fault": text, "message": text,
                "evidence": { "type": "array", "items": text }, "remedy": optional, "subject": optional,
                "serial_number": optional,
                "transcript": { "type": "string", "description": "a recording of explain's, in base64" },
            },
        },
        "Health": {
            "type": "object",
            "required": ["replicas", "gateways", "feeds", "list", "events"],
            "properties": {
                "replicas": { "type": "array", "items": { "type": "object" } },
                "gateways": { "type": "array", "items": { "type": "object" } },
                "feeds": number, "list": { "type": ["object", "null"] }, "events": number,
            },
        },
        "Client": {
            "type": "object",
            "required": ["serial_number", "identity", "not_after", "last_seen", "gateway"],
            "properties": {
                "serial_number": text, "identity": text, "not_after": text, "key": text, "tls_version": text,
                "address": text, "first_seen": text, "last_seen": text, "requests": number, "refused": number,
                "gateway": optional,
            },
        },
        "Clients": {
            "type": "object",
            "required": ["clients", "total", "by_tls_version", "by_key", "busiest"],
            "properties": {
                "clients": list("Client"), "total": number, "by_tls_version": { "type": "object" },
                "by_key": { "type": "object" }, "busiest": { "type": "array", "items": { "type": "object" } },
            },
        },
        "Report": {
            "type": "object",
            "required": ["gateway"],
            "properties": { "gateway": text, "status": { "type": "object" },
                            "clients": { "type": "array", "items": { "type": "object" } } },
        },
        "Rollover": {
            "type": "object",
            "required": ["step", "rollover", "lines", "remains", "blocked"],
            "properties": {
                "step": { "type": "string", "enum": ["none", "distribute", "reissue"] },
                "rollover": { "type": ["object", "null"] },
                "lines": { "type": "array", "items": { "type": "object" } },
                "good_of_old_line": number, "certificates": { "type": "array", "items": { "type": "object" } },
                "more_certificates": { "type": "boolean" },
                "still_seen": { "type": "array", "items": { "type": "object" } }, "still_seen_total": number,
                "replicas_without_key": { "type": "array", "items": text },
                "gateways": { "type": "array", "items": { "type": "object" } },
                "remains": { "type": "array", "items": text }, "blocked": { "type": "boolean" },
            },
        },
        "RolloverStep": {
            "type": "object",
            "required": ["step"],
            "properties": {
                "step": { "type": "string", "enum": ["start", "next", "retire", "abort"] },
                "intermediate": { "type": "boolean", "description": "a new issuing CA under the same root" },
                "key": { "type": "string", "description": "the kind of the new keys" }, "days": number,
                "renew_within_seconds": number, "seen_within_seconds": number, "force": { "type": "boolean" },
            },
        },
        "ReportTaken": { "type": "object", "required": ["clients"], "properties": { "clients": number } },
        "NewRules": { "type": "object", "required": ["rules"], "properties": { "rules": text } },
        "Rules": {
            "type": "object",
            "required": ["rules", "statements"],
            "properties": { "rules": optional, "statements": { "type": "array", "items": text } },
        },
        "Question": {
            "type": "object",
            "required": ["which"],
            "properties": {
                "which": text,
                "rules": { "type": "string", "description": "one a line: cn alice, deny ou Interns, cn bob for GET" },
            },
        },
        "Evaluation": {
            "type": "object",
            "required": ["name", "serial_number", "valid", "identities", "rules", "methods", "role", "permissions"],
            "properties": {
                "name": text, "serial_number": text, "valid": { "type": "boolean" }, "why_not": optional,
                "identities": { "type": "array", "items": text }, "rules": { "type": "array", "items": text },
                "methods": { "type": "array", "items": { "type": "object" } }, "role": optional,
                "permissions": { "type": "array", "items": text },
            },
        },
        "Reported": {
            "type": "object",
            "required": ["kept"],
            "properties": { "kept": { "type": "boolean", "description": "false where it was counted alone" } },
        },
    })
}

fn handshake_schemas() -> Value {
    let (text, number) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    let optional = json!({ "type": ["string", "null"] });
    let counts = json!({ "type": "object", "additionalProperties": number });
    let objects = |required: &[&str], properties: Value| {
        json!({ "type": "array",
                "items": { "type": "object", "required": required, "properties": properties } })
    };
    let count = json!({ "identity": optional, "key": optional, "tls_version": text, "count": number });
    json!({
        "Handshakes": {
            "type": "object",
            "required": ["by", "total", "by_tls_version", "by_key", "by_identity", "unnamed",
                         "without_certificate", "over_time"],
            "properties": {
                "by": text, "total": number, "by_tls_version": counts, "by_key": counts,
                "by_identity": objects(&["identity", "count"],
                    json!({ "identity": text, "count": number, "by_tls_version": counts, "by_key": counts })),
                "unnamed": { "type": "integer", "description": "of identities beyond those that are counted by name" },
                "without_certificate": number,
                "over_time": objects(&["start", "count"],
                    json!({ "start": text, "count": number, "by_tls_version": counts, "by_key": counts })),
            },
        },
        "HandshakeReport": {
            "type": "object",
            "required": ["gateway", "hours"],
            "properties": {
                "gateway": text,
                "hours": objects(&["hour", "handshakes"],
                    json!({ "hour": text, "handshakes": objects(&["tls_version", "count"], count) })),
            },
        },
        "HandshakesTaken": { "type": "object", "required": ["handshakes"], "properties": { "handshakes": number } },
    })
}

fn invite_properties() -> Value {
    json!({
        "handle": { "type": "string" },
        "name": { "type": "string" },
        "names": { "$ref": "#/components/schemas/Names" },
        "profile": { "type": "string" },
        "lifetime_seconds": { "type": ["integer", "null"] },
        "state": { "type": "string" },
        "uses": { "type": "integer" },
        "left": { "type": "integer" },
        "expires": { "type": "string" },
        "approve": { "type": "boolean" },
        "partner": { "type": ["string", "null"] },
        "created_by": { "type": "string" },
        "created_at": { "type": "string" },
        "used": { "type": "array", "items": { "$ref": "#/components/schemas/Use" } },
    })
}
