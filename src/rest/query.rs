//! Which issues are asked for, as a query says it.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use x0x_tracker::interface::Filter;

use super::body::bad_query;
use super::errors::Failure;

/// The most issues of one answer; a cursor leads to the next.
pub(super) const PAGE_MAX: usize = 1_000;

/// Which issues. Several values are separated by commas.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// The task list, by name, id or the start of an id; without it the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) list: Option<String>,
    /// States.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// Labels that an issue must have, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// Numbers, or `none` for issues without a priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<String>,
    /// Who holds the claim: an agent id or the start of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    /// Who it is assigned to.
    #[serde(skip_serializing_if = "Option::is_none")]
    assignee: Option<String>,
    /// Text that the title, the description or a comment must hold, without regard to case.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// RFC 3339 time; issues updated at or after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_since: Option<String>,
    /// Removed issues too.
    deleted: bool,
    /// How many at the most; never more than 1,000 of a list that has a cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    /// Where the last answer ended: its `next_cursor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<String>,
    /// Only id, identifier, title, state, priority and labels of each.
    pub(super) brief: bool,
    /// Also why other open issues are not ready; only of `/issues/ready`.
    pub(super) explain: bool,
}

impl Wanted {
    /// Returns the query that says a filter.
    pub(super) fn of(list: Option<String>, filter: &Filter) -> Self {
        let joined = |parts: &[String]| (!parts.is_empty()).then(|| parts.join(","));
        let priority = |priority: &Option<i64>| {
            priority.map_or_else(|| "none".to_owned(), |number| number.to_string())
        };
        let priorities: Vec<String> = filter.priorities.iter().map(priority).collect();
        Self {
            list,
            state: joined(&filter.states),
            label: joined(&filter.labels),
            priority: joined(&priorities),
            holder: filter.holder.clone(),
            assignee: filter.assignee.clone(),
            text: filter.text.clone(),
            updated_since: filter.updated_since.clone(),
            deleted: filter.deleted,
            limit: filter.limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
            cursor: filter.after.clone(),
            brief: !filter.with_json,
            explain: filter.explain,
        }
    }

    /// Returns the filter that a query says.
    pub(super) fn filter(&self) -> Result<Filter, Failure> {
        let parts = |typed: &Option<String>| -> Vec<String> {
            let parts = typed.iter().flat_map(|typed| typed.split(',')).map(str::trim);
            parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let priority = |text: &String| match text.as_str() {
            "none" => Ok(None),
            number => number.parse().map(Some).map_err(|_bad| {
                let detail = format!("priority: '{number}' is neither a number nor 'none'");
                bad_query(&detail)
            }),
        };
        Ok(Filter {
            states: parts(&self.state),
            labels: parts(&self.label).iter().map(|label| label.to_lowercase()).collect(),
            priorities: parts(&self.priority).iter().map(priority).collect::<Result<_, _>>()?,
            holder: self.holder.clone(),
            assignee: self.assignee.clone(),
            text: self.text.clone(),
            updated_since: self.updated_since.clone(),
            deleted: self.deleted,
            limit: self.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            after: self.cursor.clone(),
            with_json: !self.brief,
            explain: self.explain,
        })
    }
}

/// Which list alone.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct InList {
    /// The task list, by name, id or the start of an id; without it the only one.
    pub(super) list: Option<String>,
}
