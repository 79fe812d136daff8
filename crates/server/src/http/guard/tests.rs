//! Every path with every bad credential under every name from every origin: none is let in, and none can tell from the answer
//! how near it was.

use crate::{
    App, Config, Hosting, Options, Sources,
    http::{Place, Server, Shared, operations, routes},
};
use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http_body_util::BodyExt as _;
use maestria_api::meta::Role;
use maestria_kernel::At;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tower_service::Service as _;

struct Scene {
    shared: Arc<Shared>,
    _home: tempfile::TempDir,
}

impl Scene {
    async fn new(config: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config.toml");
        std::fs::write(&file, config).unwrap();
        let env = BTreeMap::from([("HOME".to_owned(), home.path().display().to_string())]);
        let sources = Sources { file: Some(file), env };
        let config = Config::load(&sources).unwrap();
        let app = Arc::new(App::open(config, Options::default()).await.unwrap());
        let place = Place::near("127.0.0.1:0".parse().unwrap());
        let server = Server::bind(app, sources, &place, Hosting::Settle).await.unwrap();
        Self {
            shared: server.shared,
            _home: home,
        }
    }

    fn host(&self) -> String {
        self.shared.site.listen().to_string()
    }

    fn routes(&self) -> Router {
        routes(self.shared.clone())
    }

    /// What is no credential, for every reason there is.
    fn bad_credentials(&self) -> Vec<String> {
        let access = &self.shared.access;
        let (token, now, hour) = (access.token(), crate::now(), Duration::from_secs(3600));
        let issue = |at: At, life: Duration| access.issue("ci", Role::Admin, at, life).unwrap();
        let (good, revoked) = (issue(now, hour), issue(now, hour));
        access.revoke(&revoked.credential, now).unwrap();
        let (lost, _) = access.add_key("lost", Role::Admin, now, None).unwrap();
        access.revoke("lost", now).unwrap();
        let (old, _) = access.add_key("old", Role::Admin, At(0), Some(hour)).unwrap();
        let (known, _) = access.add_key("known", Role::Admin, now, None).unwrap();
        let parts: Vec<&str> = good.credential.split('.').collect();
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let root = r#"{"iss":"maestria","aud":"maestria","sub":"x","jti":"1","role":"admin","iat":0,"nbf":0,"exp":9999999999}"#;
        // Another last digit, whichever it is.
        let flipped = |text: &str| {
            let (head, last) = text.split_at(text.len() - 1);
            format!("{head}{}", if last == "0" { '1' } else { '0' })
        };
        let bearers = [
            String::new(),
            "x".to_owned(),
            "a.b.c".to_owned(),
            token[..token.len() - 1].to_owned(),
            flipped(token),
            format!("{token}0"),
            format!("\"{token}\""),
            format!("Bearer {token}"),
            token.to_uppercase(),
            issue(At(0), hour).credential,
            issue(now.after(2 * hour), hour).credential,
            revoked.credential,
            format!("{}.{}.{}", part(r#"{"alg":"none"}"#), part(root), ""),
            format!("{}.{}.{}", part(r#"{"alg":"EdDSA"}"#), parts[1], parts[2]),
            format!("{}.{}.{}", parts[0], part(root), parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            lost,
            old,
            flipped(&known),
            known[..known.len() - 1].to_owned(),
            access.code(now).unwrap(),
        ];
        let others = [
            "Bearer".to_owned(),
            token.to_owned(),
            format!("Basic {token}"),
            format!("Token {}", good.credential),
        ];
        let bearers = bearers.iter().map(|credential| format!("Bearer {credential}"));
        bearers.chain(others).collect()
    }

    fn hosts(&self) -> Vec<String> {
        let port = self.shared.site.listen().port();
        let others = [
            String::new(),
            "evil.example".to_owned(),
            format!("evil.example:{port}"),
            "127.0.0.1".to_owned(),
            "127.0.0.1:1".to_owned(),
            format!("127.0.0.2:{port}"),
            format!("0.0.0.0:{port}"),
            format!("localhost.evil.example:{port}"),
            format!("{}.evil.example", self.host()),
            format!("evil.example@{}", self.host()),
            format!("127.1:{port}"),
        ];
        std::iter::once(self.host()).chain(others).collect()
    }

    fn origins(&self) -> Vec<Option<String>> {
        let others = [
            format!("http://{}", self.host()),
            format!("https://{}", self.host()),
            "null".to_owned(),
            "http://evil.example".to_owned(),
            "http://127.0.0.1:1".to_owned(),
            format!("http://{}.evil.example", self.host()),
            format!("http://evil.example#{}", self.host()),
            format!("http://{}/", self.host()),
            "file://".to_owned(),
        ];
        std::iter::once(None).chain(others.map(Some)).collect()
    }
}

/// Every path that takes a credential, its parameters filled in.
fn paths() -> Vec<(Method, String)> {
    let operations = operations::all().into_iter();
    operations
        .filter(|operation| operation.role.is_some())
        .map(|operation| {
            let parts = operation.path.split('/');
            let filled = parts.map(|part| if part.starts_with('{') { "x" } else { part });
            (operation.method, filled.collect::<Vec<_>>().join("/"))
        })
        .collect()
}

async fn ask(routes: &mut Router, method: &Method, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("x-request-id", "same");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    routes.call(request.body(Body::from("{}")).unwrap()).await.unwrap()
}

async fn body(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn nobody_gets_in_by_any_path() {
    let scene = Scene::new("").await;
    let (bad, hosts, origins, paths) = (scene.bad_credentials(), scene.hosts(), scene.origins(), paths());
    assert!(bad.len() >= 24 && hosts.len() >= 12 && origins.len() >= 10 && paths.len() > 60);
    let mut routes = scene.routes();
    let mut answers: BTreeMap<StatusCode, BTreeSet<String>> = BTreeMap::new();
    for (method, path) in &paths {
        for (host, origin) in hosts
            .iter()
            .flat_map(|host| origins.iter().map(move |origin| (host, origin)))
        {
            for credential in &bad {
                let mut headers = vec![("host", host.as_str()), ("authorization", credential)];
                headers.extend(origin.as_ref().map(|origin| ("origin", origin.as_str())));
                let refused = ask(&mut routes, method, path, &headers).await;
                let status = refused.status();
                assert!(
                    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
                    "{method} {path} {headers:?}: {status}"
                );
                answers.entry(status).or_default().insert(body(refused).await);
            }
        }
    }
    let count = |status| answers.get(&status).map_or(0, BTreeSet::len);
    assert_eq!(count(StatusCode::UNAUTHORIZED), 1, "one answer for all: {answers:#?}");
    assert_eq!(
        count(StatusCode::FORBIDDEN),
        2,
        "for the name and for the origin: {answers:#?}"
    );
}

#[tokio::test]
async fn a_good_credential_is_no_pass_for_foreign_names_and_pages() {
    let scene = Scene::new("").await;
    let (hosts, origins) = (scene.hosts(), scene.origins());
    let own = Some(format!("http://{}", scene.host()));
    let token = format!("Bearer {}", scene.shared.access.token());
    let mut routes = scene.routes();
    for (method, path) in &paths() {
        for host in &hosts[1..] {
            let headers = [("host", host.as_str()), ("authorization", &token)];
            let refused = ask(&mut routes, method, path, &headers).await;
            assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{method} {path} {host}");
        }
        for origin in origins.iter().filter(|origin| origin.is_some() && **origin != own) {
            let headers = [
                ("host", scene.host()),
                ("authorization", token.clone()),
                ("origin", origin.clone().unwrap()),
            ];
            let mut headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            // What only reads is refused where it opens a conversation.
            if *method == Method::GET {
                headers.push(("upgrade", "websocket"));
            }
            let refused = ask(&mut routes, method, path, &headers).await;
            assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{method} {path} {origin:?}");
        }
    }
}

#[tokio::test]
async fn pages_of_the_list_may_use_the_api_and_no_others() {
    let guest = "https://tools.example";
    let scene = Scene::new(&format!("[server]\ncors = [\"{guest}\"]\n")).await;
    let (host, token) = (scene.host(), format!("Bearer {}", scene.shared.access.token()));
    let mut routes = scene.routes();
    let asked = |origin: &'static str| vec![("host", host.clone()), ("origin", origin.to_owned())];
    let with = |mut headers: Vec<(&'static str, String)>, more: &[(&'static str, &str)]| {
        headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        headers
    };
    let preflight = [("access-control-request-method", "POST")];
    let mut call = async |method: Method, path: &'static str, headers: Vec<(&'static str, String)>| {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        ask(&mut routes, &method, path, &headers).await
    };
    let welcome = |response: &Response<Body>| response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).cloned();

    let told = call(Method::OPTIONS, "/api/v1/runs", with(asked(guest), &preflight)).await;
    assert_eq!(
        (told.status(), welcome(&told).unwrap().to_str().unwrap()),
        (StatusCode::NO_CONTENT, guest)
    );
    assert!(
        told.headers()["access-control-allow-headers"]
            .to_str()
            .unwrap()
            .contains("authorization")
    );
    assert!(!told.headers().contains_key("access-control-allow-credentials"));
    let bearer = [("authorization", token.as_str())];
    let read = call(Method::GET, "/api/v1/meta", with(asked(guest), &bearer)).await;
    assert_eq!((read.status(), welcome(&read).is_some()), (StatusCode::OK, true));
    assert!(read.headers().get_all(header::VARY).iter().any(|vary| vary == "origin"));
    let acted = call(Method::POST, "/api/v1/policies/test", with(asked(guest), &bearer)).await;
    assert_ne!(acted.status(), StatusCode::FORBIDDEN);
    // A page may come; it still needs somebody's credential, and is told why it is not let in.
    let unknown = call(Method::GET, "/api/v1/meta", asked(guest)).await;
    assert_eq!(
        (unknown.status(), welcome(&unknown).is_some()),
        (StatusCode::UNAUTHORIZED, true)
    );

    for origin in [
        "https://tools.example.evil",
        "http://tools.example",
        "https://tools.example:8443",
        "null",
    ] {
        let told = call(Method::OPTIONS, "/api/v1/runs", with(asked(origin), &preflight)).await;
        assert!(welcome(&told).is_none() && !told.status().is_success(), "{origin}");
        let read = call(Method::GET, "/api/v1/meta", with(asked(origin), &bearer)).await;
        assert!(welcome(&read).is_none(), "{origin}");
        let acted = call(Method::POST, "/api/v1/policies/test", with(asked(origin), &bearer)).await;
        assert_eq!(acted.status(), StatusCode::FORBIDDEN, "{origin}");
    }
    // The list is of the API; the dashboard is for itself.
    let page = call(Method::GET, "/", asked(guest)).await;
    assert!(welcome(&page).is_none());
}

#[test]
fn what_is_no_origin_is_refused_with_the_configuration() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    let env = BTreeMap::from([("HOME".to_owned(), home.path().display().to_string())]);
    let sources = Sources {
        file: Some(file.clone()),
        env,
    };
    for bad in [
        "*",
        "null",
        "tools.example",
        "https://tools.example/",
        "https://*.example",
        "https://a@b.example",
        "ftp://x",
        "https://Tools.example",
    ] {
        std::fs::write(&file, format!("[server]\ncors = [\"{bad}\"]\n")).unwrap();
        let error = Config::load(&sources).unwrap_err().to_string();
        assert!(error.contains("cors") && error.contains("origins"), "{bad}: {error}");
    }
}
