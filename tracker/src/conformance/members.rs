//! The cases on who belongs to a list.

use crate::interface::error::Fault;
use crate::interface::{Tracker, TrackerError};
use crate::journal::charter::Role;

pub(super) fn the_only_maintainer_is_shown_and_stays(tracker: &mut dyn Tracker) {
    let members = tracker.members().expect("members");
    let [own] = members.members[..] else { panic!("{members:?}") };
    assert_eq!((own.role, own.is_own, members.revoked.len()), (Role::Maintainer, true, 0));
    let own = own.agent.to_string();
    assert_eq!(tracker.grant(&own[..8], Role::Maintainer).expect("as it is"), members);
    for refused in [tracker.revoke(&own, "tired"), tracker.grant(&own, Role::Worker)] {
        let refused = refused.expect_err("nobody would be left");
        assert_eq!((refused.code(), refused.fault()), ("last_maintainer", Fault::Conflict));
    }
    let unknown = tracker.grant("0123456789", Role::Worker).expect_err("it was never here");
    assert_eq!((unknown.code(), unknown.fault()), ("unknown_agent", Fault::NotFound));
    let bare = tracker.revoke(&own, " ").expect_err("it needs a reason");
    assert!(matches!(bare, TrackerError::Invalid { .. }), "{bare}");
    assert_eq!(tracker.members().expect("the same"), members);
}
