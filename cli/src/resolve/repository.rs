//! The git repository around a directory, as its files tell. It runs no git and writes nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// The most bytes of `HEAD` or of a `.git` file that are read; they hold one line.
const LINE_BYTES_MAX: u64 = 8 * 1024;

/// Returns the nearest directory, upwards, that holds a `.git`.
pub fn root_of(dir: &Path) -> Option<&Path> {
    dir.ancestors().find(|dir| dir.join(".git").symlink_metadata().is_ok())
}

/// Returns the branch that is checked out; none without git or away from any branch.
pub fn branch_of(root: &Path) -> Option<String> {
    let head = one_line(&git_dir(root)?.join("HEAD"))?;
    let branch = head.strip_prefix("ref:")?.trim().strip_prefix("refs/heads/")?;
    Some(branch.to_owned())
}

/// Returns the directory of git's own files; a worktree's `.git` is a file that names it.
pub fn git_dir(root: &Path) -> Option<PathBuf> {
    let dot_git = root.join(".git");
    if dot_git.is_dir() {
        return Some(dot_git);
    }
    let line = one_line(&dot_git)?;
    Some(root.join(line.strip_prefix("gitdir:")?.trim()))
}

fn one_line(path: &Path) -> Option<String> {
    let is_small = fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= LINE_BYTES_MAX);
    let text = if is_small { fs::read_to_string(path).ok()? } else { return None };
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_branch_is_read_from_files_also_in_a_worktree() {
        let dir = tempfile::tempdir().unwrap();
        let (main, worktree) = (dir.path().join("main"), dir.path().join("worktree"));
        fs::create_dir_all(main.join(".git/worktrees/w")).unwrap();
        fs::create_dir_all(worktree.join("deep/er")).unwrap();
        fs::write(main.join(".git/HEAD"), "ref: refs/heads/feature/x\n").unwrap();
        fs::write(worktree.join(".git"), "gitdir: ../main/.git/worktrees/w\n").unwrap();
        fs::write(main.join(".git/worktrees/w/HEAD"), "ref: refs/heads/other\n").unwrap();
        assert_eq!(branch_of(&main).as_deref(), Some("feature/x"));
        assert_eq!(root_of(&worktree.join("deep/er")), Some(worktree.as_path()));
        assert_eq!(branch_of(&worktree).as_deref(), Some("other"));
        fs::write(main.join(".git/HEAD"), "0123456789abcdef\n").unwrap();
        assert_eq!(branch_of(&main), None);
        assert_eq!(branch_of(dir.path()), None);
    }
}
