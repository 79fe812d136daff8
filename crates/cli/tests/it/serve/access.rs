//! Who may come in.

use super::scene::Scene;
use serde_json::json;

const READS: [&str; 14] = [
    "/meta",
    "/runs",
    "/runs/last",
    "/runs/last/diff",
    "/runs/last/events",
    "/events",
    "/workers",
    "/decisions",
    "/usage",
    "/budgets",
    "/models",
    "/policies",
    "/doctor",
    "/config",
];
const ACTIONS: [&str; 9] = [
    "/runs",
    "/plans",
    "/runs/last/pause",
    "/runs/last/abort",
    "/runs/last/apply",
    "/runs/last/discard",
    "/decisions/x",
    "/policies/test",
    "/agents/probe",
];

#[test]
fn nobody_comes_in_without_a_valid_credential() {
    let scene = Scene::new("");
    let good = scene.bearer();
    let other = if good.ends_with('0') { '1' } else { '0' };
    let flipped = format!("{}{other}", &good[..good.len() - 1]);
    let short = &good[..good.len() - 1];
    let basic = good.replace("Bearer", "Basic");
    let padded = good.replace("Bearer ", "Bearer \"");
    let bad = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a.b.c",
        short,
        &flipped,
        &basic,
        &padded,
        &good["Bearer ".len()..],
    ];
    let mut bodies = std::collections::BTreeSet::new();
    for (method, paths) in [("GET", &READS[..]), ("POST", &ACTIONS[..])] {
        for path in paths {
            for credential in bad {
                let path = format!("/api/v1{path}");
                let headers = [
                    ("host", scene.address.as_str()),
                    ("authorization", credential),
                    ("x-request-id", "same"),
                ];
                let refused = scene.raw(method, &path, &headers, "{}");
                assert_eq!(refused.status, 401, "{method} {path} {credential}");
                bodies.insert(refused.body);
            }
        }
    }
    assert_eq!(bodies.len(), 1, "the same words for whatever is wrong");
    let health = scene.raw("GET", "/health", &[("host", &scene.address)], "");
    assert_eq!((health.status, health.json()["status"].clone()), (200, json!("ok")));
    let page = scene.raw("GET", "/runs/some", &[("host", &scene.address)], "");
    assert!(
        page.status == 200 && page.header("content-security-policy").contains("default-src 'none'"),
        "{}",
        page.head
    );
}

#[test]
fn foreign_hosts_and_pages_are_kept_out() {
    let scene = Scene::new("");
    let port = scene.address.rsplit(':').next().unwrap().to_owned();
    let bearer = scene.bearer();
    for host in [
        "evil.example",
        "127.0.0.1",
        "localhost.evil.example",
        "",
        "127.0.0.1:1",
        &format!("evil.example:{port}"),
    ] {
        for path in ["/api/v1/meta", "/health", "/"] {
            let refused = scene.raw("GET", path, &[("host", host), ("authorization", &bearer)], "");
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (403, "foreign-host"),
                "{host} {path}"
            );
        }
    }
    for host in [format!("localhost:{port}"), format!("LOCALHOST:{port}")] {
        let taken = scene.raw(
            "GET",
            "/api/v1/meta",
            &[("host", &host), ("authorization", &bearer)],
            "",
        );
        assert_eq!(taken.status, 200, "{host}");
    }
    for origin in [
        "null",
        "http://evil.example",
        &format!("https://{}", scene.address),
        "http://127.0.0.1:1",
    ] {
        let refused = scene.post_with("/policies/test", r#"{"command":"ls"}"#, &[("origin", origin)]);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "foreign-origin"),
            "{origin}"
        );
    }
    let own = format!("http://{}", scene.address);
    assert_eq!(
        scene
            .post_with("/policies/test", r#"{"command":"ls"}"#, &[("origin", &own)])
            .status,
        200
    );
}
