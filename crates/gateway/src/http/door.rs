//! The paths there are.

use crate::{
    question::{Door, Wanted},
    wire::Dialect,
};
use hyper::{HeaderMap, Method, Uri};

/// Where a request leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// To a model.
    Ask(Door),
    /// To the list of models, in a dialect.
    Models(Dialect),
    /// To one model of the list.
    Model(Dialect, String),
    /// To a decision without a call.
    Decide,
    /// To the state of the lanes.
    Status,
    /// Somebody looks whether the gateway is there.
    Alive,
    /// Nowhere; the dialect is what the path looks like.
    Nowhere(Dialect),
}

/// Finds the place of a path.
pub(super) fn find(method: &Method, uri: &Uri, headers: &HeaderMap) -> Place {
    let path = uri.path().trim_end_matches('/');
    let face = face(path, headers);
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match path {
        "" | "/health" if reads => return Place::Alive,
        "/v1/models" | "/v1beta/models" if reads => return Place::Models(face),
        "/api/gateway" if reads => return Place::Status,
        "/api/route-llm" if *method == Method::POST => return Place::Decide,
        _ => {}
    }
    if reads
        && let Some(model) = path
            .strip_prefix("/v1/models/")
            .or_else(|| path.strip_prefix("/v1beta/models/"))
    {
        return Place::Model(face, model.to_owned());
    }
    if *method != Method::POST {
        return Place::Nowhere(face);
    }
    let plain = |face, wanted| {
        Place::Ask(Door {
            face,
            wanted,
            model: None,
            stream: None,
            array: false,
            query: "",
        })
    };
    match path {
        "/v1/chat/completions" => plain(Dialect::OpenAi, Wanted::Answer),
        "/v1/responses" => plain(Dialect::Responses, Wanted::Answer),
        "/v1/embeddings" => plain(Dialect::OpenAi, Wanted::Embeddings),
        "/v1/messages" | "/v1/messages/count_tokens" => {
            let wanted = if path == "/v1/messages" {
                Wanted::Answer
            } else {
                Wanted::Count
            };
            let query = if has(uri, "beta=true") { "?beta=true" } else { "" };
            match plain(Dialect::Anthropic, wanted) {
                Place::Ask(door) => Place::Ask(Door { query, ..door }),
                other => other,
            }
        }
        _ => gemini(path, uri).unwrap_or(Place::Nowhere(face)),
    }
}

fn gemini(path: &str, uri: &Uri) -> Option<Place> {
    // Newer clients ask for the stable version of the same dialect.
    let rest = path
        .strip_prefix("/v1beta/models/")
        .or_else(|| path.strip_prefix("/v1/models/"))?;
    let (model, verb) = rest.rsplit_once(':')?;
    let (wanted, stream) = match verb {
        "generateContent" => (Wanted::Answer, false),
        "streamGenerateContent" => (Wanted::Answer, true),
        "countTokens" => (Wanted::Count, false),
        _ => return None,
    };
    Some(Place::Ask(Door {
        face: Dialect::Gemini,
        wanted,
        model: Some(model.replace("%2F", "/")),
        stream: Some(stream),
        array: stream && !has(uri, "alt=sse"),
        query: "",
    }))
}

fn has(uri: &Uri, pair: &str) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|p| p == pair))
}

/// The dialect that a request looks like, for errors and lists.
fn face(path: &str, headers: &HeaderMap) -> Dialect {
    if path.starts_with("/v1beta") || headers.contains_key("x-goog-api-key") {
        Dialect::Gemini
    } else if path.starts_with("/v1/messages") || headers.contains_key("anthropic-version") {
        Dialect::Anthropic
    } else {
        Dialect::OpenAi
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, find};
    use crate::{question::Wanted, wire::Dialect};
    use hyper::{HeaderMap, Method};

    fn place(method: &Method, uri: &str) -> Place {
        find(method, &uri.parse().unwrap(), &HeaderMap::new())
    }

    #[test]
    fn every_path_has_its_place() {
        let asks = [
            ("/v1/chat/completions", Dialect::OpenAi, Wanted::Answer),
            ("/v1/responses", Dialect::Responses, Wanted::Answer),
            ("/v1/embeddings", Dialect::OpenAi, Wanted::Embeddings),
            ("/v1/messages?beta=true", Dialect::Anthropic, Wanted::Answer),
            ("/v1/messages/count_tokens", Dialect::Anthropic, Wanted::Count),
            ("/v1beta/models/a/b:generateContent", Dialect::Gemini, Wanted::Answer),
            ("/v1/models/m:generateContent", Dialect::Gemini, Wanted::Answer),
            ("/v1beta/models/m:countTokens?key=k", Dialect::Gemini, Wanted::Count),
        ];
        for (uri, face, wanted) in asks {
            let Place::Ask(door) = place(&Method::POST, uri) else {
                panic!("{uri}")
            };
            assert_eq!((door.face, door.wanted), (face, wanted), "{uri}");
        }
        let Place::Ask(list) = place(&Method::POST, "/v1beta/models/m:streamGenerateContent?key=k") else {
            panic!()
        };
        assert_eq!(
            (list.stream, list.array, list.model.as_deref()),
            (Some(true), true, Some("m"))
        );
        let Place::Ask(events) = place(&Method::POST, "/v1beta/models/m:streamGenerateContent?alt=sse&key=k") else {
            panic!()
        };
        assert!(!events.array);
        assert_eq!(place(&Method::HEAD, "/"), Place::Alive);
        assert_eq!(place(&Method::GET, "/v1beta/models"), Place::Models(Dialect::Gemini));
        assert_eq!(
            place(&Method::GET, "/v1/models/a/b"),
            Place::Model(Dialect::OpenAi, "a/b".to_owned())
        );
        assert_eq!(place(&Method::GET, "/v1/messages"), Place::Nowhere(Dialect::Anthropic));
        assert_eq!(
            place(&Method::POST, "/v1beta/models/m:fly"),
            Place::Nowhere(Dialect::Gemini)
        );
        assert_eq!(place(&Method::DELETE, "/health"), Place::Nowhere(Dialect::OpenAi));
    }
}
