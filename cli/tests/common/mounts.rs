//! Mounts of a test's own: it runs once more in a private mount namespace, where nobody else sees them
//! and which takes them along when it ends.

use std::path::Path;
use std::process::Command;

/// What tells a test that it runs in a namespace of its own.
const INSIDE: &str = "X0X_IN_MOUNT_NAMESPACE";

/// Runs a test's body where it may mount; without root or mounts it says why it is skipped.
///
/// `name` is the test's own, as the test runner knows it.
pub fn with_mounts(name: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let probe = "mount -t tmpfs -o size=64k tmpfs /tmp && umount /tmp";
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]);
        command
    };
    match unshare().args(["sh", "-c", probe]).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            return eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Err(error) => return eprintln!("skipped: unshare: {error}"),
    }
    let output = unshare()
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    eprintln!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{name} failed in its namespace");
}

/// Runs `mount`, which must succeed.
pub fn mount(args: &[&str], place: &Path) {
    let output = Command::new("mount").args(args).arg(place).output().unwrap();
    assert!(output.status.success(), "mount {args:?} {}: {output:?}", place.display());
}

/// Makes a directory read-only, whoever asks: also for root.
pub fn freeze(dir: &Path) {
    mount(&["--bind", dir.to_str().unwrap()], dir);
    mount(&["-o", "remount,bind,ro"], dir);
}

/// Makes a directory writable again.
pub fn thaw(dir: &Path) {
    mount(&["-o", "remount,bind,rw"], dir);
}
