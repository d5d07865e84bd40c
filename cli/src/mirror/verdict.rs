//! What is to be done with a bound file, as git, the file and the list stand. It does nothing itself.

/// How a repository stands, as far as its files tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The bound branch is checked out, and git is at rest.
    Here,
    /// Something else is checked out.
    Elsewhere {
        /// The branch; `None` where HEAD is detached.
        branch: Option<String>,
        /// The bound one.
        bound: String,
    },
    /// git is in the middle of something.
    UnderWay(&'static str),
    /// git holds its index.
    Locked,
}

/// How the file stands against the list and against git.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Whether the file is there.
    pub is_there: bool,
    /// Whether it was imported or exported before.
    pub has_base: bool,
    /// Whether it is byte for byte as it was last imported or exported.
    pub is_base: bool,
    /// The commit that is checked out.
    pub head: Option<String>,
    /// The one that was last worked with.
    pub last: Option<String>,
    /// Whether `head` is `last`, descends from it, or has what was committed there after a rebase.
    pub descends: bool,
    /// Whether the file is as `head` has it, and `last` had it so already.
    pub is_set_back: bool,
}

/// Why the file is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pause {
    /// git does not stand as it has to.
    Git(Standing),
    /// HEAD does not descend from the commit that was last worked with.
    Strayed {
        /// HEAD.
        head: String,
        /// That commit.
        last: String,
    },
    /// Somebody has git put the file back to what is committed.
    SetBack,
    /// It was there, and is gone.
    Gone,
    /// It cannot be imported or written.
    Failed {
        /// Why.
        detail: String,
        /// What to do.
        hint: String,
    },
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Leave the file alone.
    Leave(Pause),
    /// Take in what it changed.
    Import,
    /// Write what the list changed.
    Export,
}

/// Decides. A file that differs from what was last imported or exported is imported, unless git itself
/// took it to an older state: then whoever did that says how it goes on.
pub fn decide(standing: Standing, look: &Look) -> Verdict {
    if standing != Standing::Here {
        return Verdict::Leave(Pause::Git(standing));
    }
    match look {
        Look { is_there: false, has_base: true, .. } => Verdict::Leave(Pause::Gone),
        Look { is_there: false, .. } | Look { is_base: true, .. } => Verdict::Export,
        Look { descends: false, head, last, .. } => {
            let id = |id: &Option<String>| id.clone().unwrap_or_else(|| "no commit".to_owned());
            Verdict::Leave(Pause::Strayed { head: id(head), last: id(last) })
        }
        Look { is_set_back: true, .. } => Verdict::Leave(Pause::SetBack),
        _ => Verdict::Import,
    }
}

/// What to do about a file that git took to another state than the list's.
const BY_HAND: &str = "`x0x issues import --dry-run` shows how it differs, `x0x issues sync` has file and list \
                       agree again; then this goes on";

impl Pause {
    /// Returns why.
    pub fn why(&self) -> String {
        let digits = |id: &str| id.get(..10).unwrap_or(id).to_owned();
        match self {
            Self::Git(Standing::UnderWay(what)) => format!("git is in the middle of {what}"),
            Self::Git(Standing::Locked) => "git holds its index.lock".to_owned(),
            Self::Git(Standing::Elsewhere { branch: Some(branch), bound }) => {
                format!("branch {branch} is checked out, and the file is bound to {bound}")
            }
            Self::Git(Standing::Elsewhere { branch: None, bound }) => {
                format!("no branch is checked out, and the file is bound to {bound}")
            }
            Self::Git(Standing::Here) => String::new(),
            Self::Strayed { head, last } => format!(
                "HEAD ({}) does not descend from {}, which was last worked with",
                digits(head),
                digits(last)
            ),
            Self::SetBack => "git put the file back to what is committed".to_owned(),
            Self::Gone => "the file is gone".to_owned(),
            Self::Failed { detail, .. } => detail.clone(),
        }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Git(Standing::Locked) => {
                "it goes on by itself when that git has ended; if none runs any more, it was killed, and \
                 that file is all it left"
                    .to_owned()
            }
            Self::Git(_) => "it goes on by itself when that is over".to_owned(),
            Self::Strayed { .. } | Self::SetBack => BY_HAND.to_owned(),
            Self::Gone => "`x0x issues export` writes it again".to_owned(),
            Self::Failed { hint, .. } => hint.clone(),
        }
    }

    /// Tells whether it is over within moments, as a rule.
    pub fn is_brief(&self) -> bool {
        *self == Self::Git(Standing::Locked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look() -> Look {
        let head = || Some("a".repeat(40));
        Look {
            is_there: true,
            has_base: true,
            is_base: false,
            head: head(),
            last: head(),
            descends: true,
            is_set_back: false,
        }
    }

    #[test]
    fn a_file_that_was_edited_is_imported_and_one_that_was_not_is_written() {
        assert_eq!(decide(Standing::Here, &look()), Verdict::Import);
        assert_eq!(decide(Standing::Here, &Look { is_base: true, ..look() }), Verdict::Export);
        let new = Look { is_there: false, has_base: false, ..look() };
        assert_eq!(decide(Standing::Here, &new), Verdict::Export);
        let first = Look { has_base: false, ..look() };
        assert_eq!(decide(Standing::Here, &first), Verdict::Import);
    }

    #[test]
    fn what_git_took_back_is_left_alone() {
        let gone = Look { is_there: false, ..look() };
        assert_eq!(decide(Standing::Here, &gone), Verdict::Leave(Pause::Gone));
        let set_back = Look { is_set_back: true, ..look() };
        assert_eq!(decide(Standing::Here, &set_back), Verdict::Leave(Pause::SetBack));
        let strayed = Look { descends: false, last: Some("b".repeat(40)), ..look() };
        let Verdict::Leave(pause) = decide(Standing::Here, &strayed) else { panic!() };
        assert!(pause.why().contains("aaaaaaaaaa") && pause.why().contains("bbbbbbbbbb"));
        // As after `git commit --amend`: nothing of the file is at stake.
        let amended = Look { is_base: true, ..strayed };
        assert_eq!(decide(Standing::Here, &amended), Verdict::Export);
    }

    #[test]
    fn nothing_is_done_while_git_stands_elsewhere() {
        let elsewhere = Standing::Elsewhere { branch: None, bound: "main".to_owned() };
        for standing in [elsewhere, Standing::UnderWay("a rebase"), Standing::Locked] {
            for look in [look(), Look { is_base: true, ..look() }] {
                let verdict = decide(standing.clone(), &look);
                assert_eq!(verdict, Verdict::Leave(Pause::Git(standing.clone())));
            }
        }
    }
}
