//! Who is answered: whoever shows the token, is no web page, and speaks this version.

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::answer::{API_HEADER, API_VERSION, Exact, Form};
use super::errors::Failure;

/// Lets a request through that shows the token, that no web page made, and that speaks this version.
pub(super) async fn guarded(expected: &str, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let shown = headers.get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    if !bool::from(shown.ct_eq(expected.as_bytes())) {
        let hint = "send `Authorization: Bearer TOKEN` with the token from the file api-token in the \
                    data directory";
        return Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", "no valid token", hint)
            .into_response();
    }
    if headers.contains_key(header::ORIGIN) {
        let hint = "call it from a program, not from a web page";
        return Failure::new(StatusCode::FORBIDDEN, "foreign_origin", "a web page asks", hint)
            .into_response();
    }
    if let Some(theirs) = headers.get(API_HEADER)
        && theirs.as_bytes() != API_VERSION.to_string().as_bytes()
    {
        return other_version(theirs.to_str().unwrap_or("?")).into_response();
    }
    let form = Form::of(headers);
    let mut response = next.run(request).await;
    response.headers_mut().insert(API_HEADER, HeaderValue::from(API_VERSION));
    if form == Form::Exact
        && let Some(exact) = response.extensions_mut().remove::<Exact>()
    {
        exact.replace(&mut response);
    }
    response
}

fn other_version(theirs: &str) -> Failure {
    let detail = format!(
        "this node (x0x {}) speaks version {API_VERSION} of its interface, the program version {theirs}",
        env!("CARGO_PKG_VERSION")
    );
    let hint =
        "use the x0x that the node was started with, or stop it and start it again with yours";
    Failure::new(StatusCode::UPGRADE_REQUIRED, "api_version", &detail, hint)
}
