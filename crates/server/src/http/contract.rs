//! What a path takes and answers, beside who serves it: the router and the OpenAPI document are made of the same list, so
//! that neither can know a path that the other does not.

pub(super) mod document;

use super::{Shared, ask};
use axum::{
    Router,
    handler::Handler,
    http::Method,
    middleware,
    routing::{self, MethodRouter},
};
use maestria_api::{meta::Role, problem::Code};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::sync::Arc;

/// Writes a type's schema.
type Shape = fn(&mut SchemaGenerator) -> Schema;

/// A method of a path.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    id: &'static str,
    about: &'static str,
    /// The role that it takes; none when everybody may.
    pub(super) role: Option<Role>,
    is_flat: bool,
    query: Option<Shape>,
    body: Option<Body>,
    /// Headers of the request that mean something here, beside those that every request may have.
    headers: Vec<&'static str>,
    answer: Answer,
    refusals: Vec<Code>,
    handler: MethodRouter<Arc<Shared>>,
}

struct Body {
    shape: Shape,
    /// Something must be said; otherwise an empty body is an empty object.
    is_needed: bool,
}

/// What is said when all is well.
struct Answer {
    status: u16,
    /// By content type; a text has no shape of its own.
    contents: Vec<(&'static str, Option<Shape>)>,
    headers: Vec<&'static str>,
}

fn shape<T: JsonSchema>() -> Shape {
    |generator| generator.subschema_for::<T>()
}

/// Something to read, for viewers.
pub(super) fn get<H, T>(path: &'static str, id: &'static str, about: &'static str, handler: H) -> Operation
where
    H: Handler<T, Arc<Shared>>,
    T: 'static,
{
    Operation::new(Method::GET, Role::Viewer, path, (id, about), routing::get(handler))
}

/// Something to do, for operators.
pub(super) fn post<H, T>(path: &'static str, id: &'static str, about: &'static str, handler: H) -> Operation
where
    H: Handler<T, Arc<Shared>>,
    T: 'static,
{
    let operation = Operation::new(Method::POST, Role::Operator, path, (id, about), routing::post(handler));
    operation
        .header("idempotency-key")
        .refuses(&[Code::BadValue, Code::KeyReused, Code::TooLarge, Code::BadJson])
}

impl Operation {
    fn new(
        method: Method,
        role: Role,
        path: &'static str,
        (id, about): (&'static str, &'static str),
        handler: MethodRouter<Arc<Shared>>,
    ) -> Self {
        Self {
            method,
            path,
            id,
            about,
            role: Some(role),
            is_flat: false,
            query: None,
            body: None,
            headers: Vec::new(),
            answer: Answer {
                status: 200,
                contents: Vec::new(),
                headers: Vec::new(),
            },
            refusals: Vec::new(),
            handler,
        }
    }

    /// Everybody may.
    pub(super) fn open(mut self) -> Self {
        self.role = None;
        self
    }

    /// It takes this role.
    pub(super) fn role(mut self, role: Role) -> Self {
        self.role = Some(role);
        self
    }

    /// It is there for clients of earlier systems.
    pub(super) fn flat(mut self) -> Self {
        self.is_flat = true;
        self
    }

    /// Its query, as the type that reads it.
    pub(super) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(shape::<T>());
        self.refuses(&[Code::BadValue])
    }

    /// Its body, as the type that reads it.
    pub(super) fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(Body {
            shape: shape::<T>(),
            is_needed: true,
        });
        self.refuses(&[Code::NotJson])
    }

    /// As [`Operation::body`]; nothing at all is an empty object.
    pub(super) fn body_if_any<T: JsonSchema>(mut self) -> Self {
        self = self.body::<T>();
        if let Some(body) = &mut self.body {
            body.is_needed = false;
        }
        self
    }

    /// A header of the request that means something here.
    pub(super) fn header(mut self, name: &'static str) -> Self {
        self.headers.push(name);
        self
    }

    /// A value to read, which has a tag.
    pub(super) fn shows<T: JsonSchema>(mut self) -> Self {
        self.answer.headers.push("etag");
        self.header("if-none-match").answers::<T>(200)
    }

    /// What it answers.
    pub(super) fn answers<T: JsonSchema>(mut self, status: u16) -> Self {
        self.answer.status = status;
        self.answer.contents.push(("application/json", Some(shape::<T>())));
        self
    }

    /// A text that it answers with instead, to who accepts it.
    pub(super) fn text(mut self, kind: &'static str) -> Self {
        self.answer.contents.push((kind, None));
        self
    }

    /// It becomes a conversation.
    pub(super) fn opens(mut self) -> Self {
        self.answer.status = 101;
        self
    }

    /// A header of the answer.
    pub(super) fn tells(mut self, name: &'static str) -> Self {
        self.answer.headers.push(name);
        self
    }

    /// What it may refuse, beside what every path does.
    pub(super) fn refuses(mut self, codes: &[Code]) -> Self {
        self.refusals.extend_from_slice(codes);
        self
    }
}

/// The router of all of them.
pub(super) fn router(operations: Vec<Operation>) -> Router<Arc<Shared>> {
    operations.into_iter().fold(Router::new(), |router, operation| {
        let handler = match operation.query {
            Some(_) => operation.handler,
            // A handler that reads no query would let a misspelt parameter pass unseen.
            None => operation.handler.route_layer(middleware::from_fn(ask::no_query)),
        };
        router.route(operation.path, handler)
    })
}

impl Operation {
    /// Everything that it may refuse, in the order of the codes' statuses.
    fn all_refusals(&self) -> Vec<Code> {
        let mut codes = vec![
            Code::UnknownField,
            Code::ForeignHost,
            Code::Internal,
            Code::StoreUnavailable,
        ];
        codes.extend_from_slice(&self.refusals);
        if self.role.is_some() {
            codes.extend([Code::Unauthorised, Code::Forbidden, Code::RateLimited]);
        }
        if self.method == Method::POST {
            codes.push(Code::ForeignOrigin);
        }
        let named = |code: &Code| serde_json::to_string(code).unwrap_or_default();
        codes.sort_by_key(|code| (code.status(), named(code)));
        codes.dedup();
        codes
    }
}

#[cfg(test)]
mod tests;
