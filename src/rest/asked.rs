//! What every request about a task list says alike: whom it asks, which list it means, and the form in which
//! it wants the answer.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::response::Response;
use serde::de::DeserializeOwned;
use x0x_tracker::LocalTracker;
use x0x_tracker::interface::TrackerError;

use super::answer::{Answer, Form, answer};
use super::body::bad_query;
use super::errors::Failure;
use super::query::InList;
use crate::node::Node;

/// A request, with the parameters of its query.
pub(super) struct Asked<Q = InList> {
    pub(super) node: Node,
    pub(super) form: Form,
    pub(super) query: Q,
}

impl<Q: DeserializeOwned + Send> FromRequestParts<Node> for Asked<Q> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, Failure> {
        let Query(query) = Query::from_request_parts(parts, node)
            .await
            .map_err(|rejection| bad_query(&rejection.body_text()))?;
        Ok(Self { node: node.clone(), form: Form::of(&parts.headers), query })
    }
}

impl Asked {
    /// Answers with what is read of the list, beside whoever writes.
    pub(super) async fn read<T: Answer + Send + 'static>(
        self,
        read: impl FnOnce(&LocalTracker) -> Result<T, TrackerError> + Send + 'static,
    ) -> Result<Response, Failure> {
        answer(self.form, &reading(&self.node, self.query.list, read).await?)
    }

    /// Answers with what came of a writing, once it is on disk.
    pub(super) async fn write<T: Answer + Send + 'static>(
        self,
        write: impl FnOnce(&mut LocalTracker) -> Result<T, TrackerError> + Send + 'static,
    ) -> Result<Response, Failure> {
        answer(self.form, &writing(&self.node, self.query.list, write).await?)
    }
}

/// Reads one list beside whoever writes.
pub(super) async fn reading<T: Send + 'static>(
    node: &Node,
    list: Option<String>,
    read: impl FnOnce(&LocalTracker) -> Result<T, TrackerError> + Send + 'static,
) -> Result<T, Failure> {
    Ok(node.keeper().read_long(list, read).await??)
}

/// Writes to one list, and returns once it is on disk.
pub(super) async fn writing<T: Send + 'static>(
    node: &Node,
    list: Option<String>,
    write: impl FnOnce(&mut LocalTracker) -> Result<T, TrackerError> + Send + 'static,
) -> Result<T, Failure> {
    let list = node.keeper().named(list.as_deref()).await??;
    Ok(node.keeper().write(list, write).await??)
}

/// The names in a path.
pub(super) struct Named<T = String>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Node> for Named<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, node: &Node) -> Result<Self, Failure> {
        match Path::from_request_parts(parts, node).await {
            Ok(Path(names)) => Ok(Self(names)),
            Err(rejection) => {
                let hint = "write names in UTF-8, with %XX for what may not stand in a path";
                Err(Failure::bad_request(&rejection.body_text(), hint))
            }
        }
    }
}
