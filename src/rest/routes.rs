//! Which request does what, and the document that says so.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::routing::{get, post};
use axum::{Extension, Router};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, RefOr};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::json;
use super::errors::{ErrorBody, Failure};
use super::serving::Limits;
use super::{
    claims, diagnostics, direct, edits, events, exchange, guard, issues, lists, messages, metrics,
    nodes,
};
use crate::node::Node;

/// What a node answers programs of its own machine.
#[derive(OpenApi)]
#[openapi(
    info(title = "x0x", description = "A task list in a gossip mesh, as one node has it."),
    components(schemas(ErrorBody)),
    modifiers(&Token),
    security(("token" = []))
)]
struct Described;

struct Token;

impl utoipa::Modify for Token {
    fn modify(&self, document: &mut Document) {
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("From the file api-token in the data directory."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(token));
    }
}

/// Returns the routes that a token opens.
fn guarded() -> OpenApiRouter<Node> {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(nodes::agent))
        .routes(routes!(nodes::status))
        .routes(routes!(nodes::peers))
        .routes(routes!(nodes::stop))
        .routes(routes!(nodes::log_level, nodes::set_log_level))
        .routes(routes!(lists::task_lists))
        .routes(routes!(lists::task_list))
        .routes(routes!(lists::members))
        .routes(routes!(lists::workers))
        .routes(routes!(lists::grant))
        .routes(routes!(lists::revoke))
        .routes(routes!(lists::backup))
        .routes(routes!(lists::invite))
        .routes(routes!(lists::join))
        .routes(routes!(issues::list, edits::create, edits::edit_all))
        .routes(routes!(issues::ready))
        .routes(routes!(events::events))
        .routes(routes!(issues::stats))
        .routes(routes!(issues::show, edits::edit, edits::remove))
        .routes(routes!(issues::log))
        .routes(routes!(issues::handoffs))
        .routes(routes!(edits::comment))
        .routes(routes!(edits::rule))
        .routes(routes!(edits::conflicts))
        .routes(routes!(edits::conflicts_of))
        .routes(routes!(edits::settle))
        .routes(routes!(exchange::undo))
        .routes(routes!(claims::claim))
        .routes(routes!(claims::claim_first))
        .routes(routes!(claims::reshard))
        .routes(routes!(claims::claims))
        .routes(routes!(claims::heartbeat))
        .routes(routes!(claims::release))
        .routes(routes!(claims::hand_off))
        .routes(routes!(claims::losses))
        .routes(routes!(exchange::import))
        .routes(routes!(exchange::export))
        .routes(routes!(exchange::exported))
        .routes(routes!(direct::send))
        .routes(routes!(messages::events))
        .routes(routes!(messages::inbox))
        .routes(routes!(direct::release))
        .routes(routes!(direct::block))
        .routes(routes!(direct::unblock))
        .routes(routes!(direct::blocked))
        .routes(routes!(diagnostics::dm))
        .routes(routes!(diagnostics::gossip))
        .routes(routes!(metrics::metrics))
}

/// Returns the OpenAPI document of what a node answers.
pub fn document() -> Document {
    let open = OpenApiRouter::<Node>::new().routes(routes!(nodes::health));
    let mut document = guarded().merge(open).into_openapi();
    for item in document.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete]
                .into_iter()
                .flatten();
        for answers in operations.map(|operation| &mut operation.responses.responses) {
            for (status, answer) in answers {
                if let RefOr::T(answer) = answer
                    && answer.description.is_empty()
                {
                    // The specification wants one of each.
                    answer.description =
                        if status == "201" { "Created." } else { "Done." }.to_owned();
                }
            }
        }
    }
    document
}

/// Returns what answers programs for a node that show the token.
pub(super) fn router(node: Node, token: &str, limits: Limits) -> Router {
    let expected = format!("Bearer {token}");
    let (guarded, _described) = guarded().split_for_parts();
    let described = document().to_json().unwrap_or_default();
    guarded
        .route("/openapi.json", get(async move || json(described.clone())))
        // Between x0x and its node alone.
        .route("/store/loan", post(nodes::lend))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let expected = expected.clone();
            async move { guard::guarded(&expected, request, next).await }
        }))
        // Anybody may ask whether somebody is there.
        .route("/health", get(nodes::health).fallback(wrong_method))
        .layer(Extension(limits))
        .with_state(node)
}

async fn unknown() -> Failure {
    let hint = "GET /openapi.json tells what there is";
    Failure::new(StatusCode::NOT_FOUND, "unknown_route", "there is nothing under this path", hint)
}

async fn wrong_method() -> Failure {
    let hint = "GET /openapi.json tells which methods this path answers";
    let detail = "this path does not answer that method";
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", detail, hint)
}
