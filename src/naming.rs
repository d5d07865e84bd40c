//! Which task list a name means, of those that a data directory holds.

use std::path::Path;

use x0x_tracker::id::ListId;
use x0x_tracker::interface::ListInfo;

use crate::home::HomeError;

/// Returns the list that a name, an id or the start of an id means; `None` means the only one.
///
/// # Errors
/// Where none or several could be meant.
pub(crate) fn which<'a>(
    lists: impl Iterator<Item = &'a ListInfo> + Clone,
    name_or_id: Option<&str>,
    dir: &Path,
) -> Result<ListId, HomeError> {
    let matching: Vec<&ListInfo> = match name_or_id {
        None => lists.collect(),
        // An id is nobody else's name, whatever a list is called.
        Some(text) if let Ok(id) = text.parse::<ListId>() => {
            lists.filter(|info| info.list == id).collect()
        }
        Some(text) => {
            let named: Vec<&ListInfo> = lists.clone().filter(|info| info.name == text).collect();
            let starts = |info: &&ListInfo| info.list.to_string().starts_with(text);
            if named.is_empty() { lists.filter(starts).collect() } else { named }
        }
    };
    match (matching.as_slice(), name_or_id) {
        ([only], _) => Ok(only.list),
        ([], Some(name)) => {
            Err(HomeError::NoSuchList { name: name.to_owned(), dir: dir.to_owned() })
        }
        ([], None) => Err(HomeError::NoList { dir: dir.to_owned() }),
        (several, _) => {
            let name = |info: &&ListInfo| format!("{} ({})", info.name, info.list.short());
            Err(HomeError::ManyLists { names: several.iter().map(name).collect() })
        }
    }
}
