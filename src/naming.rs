//! Which task list a name means, of those that a data directory holds.

use std::collections::BTreeMap;
use std::path::Path;

use x0x_tracker::id::ListId;
use x0x_tracker::interface::{ListInfo, TrackerError};

use crate::home::HomeError;

/// Lists that are here and cannot be opened for now, and why: nobody knows what they are called.
pub(crate) type Shut = BTreeMap<ListId, String>;

/// Returns the list that a name, an id or the start of an id means; `None` means the only one.
///
/// # Errors
/// Where none or several could be meant, or one of those that are shut may have that name.
pub(crate) fn which<'a>(
    lists: impl Iterator<Item = &'a ListInfo> + Clone,
    shut: &Shut,
    name_or_id: Option<&str>,
    dir: &Path,
) -> Result<ListId, HomeError> {
    let name = |info: &ListInfo| format!("{} ({})", info.name, info.list.short());
    let open = lists.clone().map(|info| (info.list, name(info)));
    let all = open.chain(shut.keys().map(|list| (*list, list.short().to_string())));
    let matching: Vec<(ListId, String)> = match name_or_id {
        None => all.collect(),
        // An id is nobody else's name, whatever a list is called.
        Some(text) if let Ok(id) = text.parse::<ListId>() => {
            all.filter(|(list, _)| *list == id).collect()
        }
        Some(text) => {
            let is_named = |info: &&ListInfo| info.name == text;
            let named: Vec<_> =
                lists.filter(is_named).map(|info| (info.list, name(info))).collect();
            let starts = |(list, _): &(ListId, String)| list.to_string().starts_with(text);
            if named.is_empty() { all.filter(starts).collect() } else { named }
        }
    };
    match (matching.as_slice(), name_or_id) {
        ([(only, _)], _) => Ok(*only),
        ([], Some(name)) => match shut.values().next() {
            Some(why) if name.parse::<ListId>().is_err() => Err(shut_for_now(why)),
            _ => Err(HomeError::NoSuchList { name: name.to_owned(), dir: dir.to_owned() }),
        },
        ([], None) => Err(HomeError::NoList { dir: dir.to_owned() }),
        (several, _) => Err(HomeError::ManyLists {
            names: several.iter().map(|(_, name)| name.clone()).collect(),
        }),
    }
}

/// Returns the error of a list that a node has, and cannot open for now.
pub(crate) fn shut_for_now(why: &str) -> HomeError {
    TrackerError::Busy { holder: why.to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(byte: u8, name: &str) -> ListInfo {
        ListInfo {
            list: ListId([byte; 32]),
            name: name.to_owned(),
            prefix: "T".to_owned(),
            issues: 0,
            commits: 0,
            joined: true,
        }
    }

    #[test]
    fn a_list_that_is_shut_may_have_any_name_that_no_open_one_has() {
        let (open, dir) = ([list(1, "one")], Path::new("here"));
        let shut: Shut = [(ListId([2; 32]), "a reader".to_owned())].into();
        let which = |open: &[ListInfo], name: Option<&str>| which(open.iter(), &shut, name, dir);
        assert_eq!(which(&open, Some("one")).unwrap(), ListId([1; 32]));
        assert_eq!(which(&[], None).unwrap(), ListId([2; 32]));
        assert_eq!(which(&open, Some("0202")).unwrap(), ListId([2; 32]));
        assert_eq!(which(&open, Some(&ListId([2; 32]).to_string())).unwrap(), ListId([2; 32]));
        assert!(matches!(which(&open, None), Err(HomeError::ManyLists { .. })));
        let busy = which(&open, Some("two")).unwrap_err();
        assert!(matches!(busy, HomeError::Tracker(TrackerError::Busy { .. })), "{busy}");
        let unknown = which(&open, Some(&ListId([3; 32]).to_string())).unwrap_err();
        assert!(matches!(unknown, HomeError::NoSuchList { .. }), "{unknown}");
    }
}
