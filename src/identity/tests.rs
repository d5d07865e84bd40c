//! Tests of the key's life on disk and of the two ML-DSA libraries' agreement; nothing here touches
//! another directory than its own.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ::ml_dsa::signature::{Signer as _, Verifier as _};
use ::ml_dsa::{MlDsa65, SigningKey};
use x0x_tracker::journal::signature::{PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Verifier as _};

use super::*;

/// Tells a process of [`eight_processes_at_once_get_one_key`] where to look.
const CHILD_DIR: &str = "X0X_TEST_KEY_DIR";

#[test]
fn the_first_use_makes_a_key_and_the_next_ones_load_it() {
    let (_root, dir) = data_dir();
    assert!(Identity::load(&dir).unwrap().is_none());
    assert!(!dir.exists(), "loading made something");
    let made = Identity::load_or_create(&dir).unwrap();
    let before = snapshot(&dir);
    assert_eq!(Identity::load_or_create(&dir).unwrap().agent(), made.agent());
    assert_eq!(Identity::load(&dir).unwrap().unwrap().public_key(), made.public_key());
    assert_eq!(snapshot(&dir), before);
    assert_eq!(made.agent(), AgentId::of_public_key(made.public_key()));
}

#[test]
fn only_the_owner_may_read_the_key_and_nothing_else_is_left_beside_it() {
    let (_root, dir) = data_dir();
    Identity::load_or_create(&dir).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::metadata(dir.join(KEY_FILE)).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(snapshot(&dir).keys().collect::<Vec<_>>(), [KEY_FILE]);
}

#[test]
fn a_key_file_cut_at_any_length_is_refused_and_left_alone() {
    let (_root, dir) = data_dir();
    Identity::load_or_create(&dir).unwrap();
    let whole = fs::read(dir.join(KEY_FILE)).unwrap();
    for length in 0..whole.len() {
        fs::write(dir.join(KEY_FILE), &whole[..length]).unwrap();
        let error = refused(&dir);
        assert!(matches!(error, IdentityError::Damaged { .. }), "{length}: {error:?}");
    }
    fs::write(dir.join(KEY_FILE), &whole).unwrap();
    Identity::load(&dir).unwrap().unwrap();
}

#[test]
fn a_key_file_with_any_byte_changed_is_refused_and_left_alone() {
    let (_root, dir) = data_dir();
    Identity::load_or_create(&dir).unwrap();
    let whole = fs::read(dir.join(KEY_FILE)).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(dir.join(KEY_FILE), &changed).unwrap();
        refused(&dir);
    }
}

#[test]
fn garbage_and_longer_files_are_refused_and_left_alone() {
    let (_root, dir) = data_dir();
    Identity::load_or_create(&dir).unwrap();
    let whole = fs::read(dir.join(KEY_FILE)).unwrap();
    for bytes in [
        b"\n".to_vec(),
        b"hello".to_vec(),
        vec![0; whole.len()],
        vec![0xff; 1 << 20],
        [whole.as_slice(), b"\n"].concat(),
        [b"\xef\xbb\xbf", whole.as_slice()].concat(),
        whole.to_ascii_uppercase(),
    ] {
        fs::write(dir.join(KEY_FILE), bytes).unwrap();
        let error = refused(&dir);
        assert!(matches!(error, IdentityError::Damaged { .. }), "{error:?}");
    }
}

#[test]
fn another_format_is_refused_with_both_numbers() {
    let (_root, dir) = data_dir();
    Identity::load_or_create(&dir).unwrap();
    let text = fs::read_to_string(dir.join(KEY_FILE)).unwrap();
    fs::write(dir.join(KEY_FILE), text.replace("format 1\n", "format 2\n")).unwrap();
    let error = refused(&dir);
    assert!(matches!(error, IdentityError::Format { found: 2, known: 1, .. }), "{error:?}");
}

#[test]
fn the_agent_id_of_another_key_is_refused() {
    let (_root, dir) = data_dir();
    let (_other_root, other) = data_dir();
    let ours = Identity::load_or_create(&dir).unwrap().agent().to_string();
    let theirs = Identity::load_or_create(&other).unwrap().agent().to_string();
    let text = fs::read_to_string(dir.join(KEY_FILE)).unwrap();
    fs::write(dir.join(KEY_FILE), text.replace(&ours, &theirs)).unwrap();
    let error = refused(&dir);
    assert!(matches!(error, IdentityError::Damaged { .. }), "{error:?}");
}

#[test]
fn a_directory_in_the_files_place_is_refused_and_left_alone() {
    let (_root, dir) = data_dir();
    fs::create_dir_all(dir.join(KEY_FILE)).unwrap();
    let error = refused(&dir);
    assert!(matches!(error, IdentityError::NotAFile { .. }), "{error:?}");
}

#[test]
fn a_pipe_in_the_files_place_is_refused_without_waiting_for_its_writer() {
    let (_root, dir) = data_dir();
    fs::create_dir(&dir).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.join(KEY_FILE), rustix::fs::Mode::RUSR).unwrap();
    let error = Identity::load_or_create(&dir).unwrap_err();
    assert!(matches!(error, IdentityError::NotAFile { .. }), "{error:?}");
}

#[test]
fn a_link_to_a_missing_file_is_not_taken_for_no_key() {
    let (root, dir) = data_dir();
    fs::create_dir(&dir).unwrap();
    symlink(root.path().join("unmounted/agent.key"), dir.join(KEY_FILE)).unwrap();
    let error = refused(&dir);
    assert!(matches!(error, IdentityError::DanglingLink { .. }), "{error:?}");
    assert!(dir.join(KEY_FILE).is_symlink());
}

#[test]
fn a_file_in_the_data_directorys_place_is_an_error() {
    let (_root, dir) = data_dir();
    fs::write(&dir, "precious").unwrap();
    let error = Identity::load_or_create(&dir).unwrap_err();
    assert!(matches!(error, IdentityError::Unreadable { .. }), "{error:?}");
    assert_eq!(fs::read(&dir).unwrap(), b"precious");
}

#[test]
fn a_key_that_others_may_open_is_refused_with_the_command_that_mends_it() {
    let (_root, dir) = data_dir();
    let made = Identity::load_or_create(&dir).unwrap();
    let file = dir.join(KEY_FILE);
    for mode in [0o640, 0o604, 0o620, 0o601, 0o777] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let error = refused(&dir);
        assert!(matches!(error, IdentityError::Exposed { .. }), "{mode:o}: {error:?}");
        assert!(error.to_string().ends_with(&format!("chmod 600 {}", file.display())), "{error}");
    }
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(Identity::load(&dir).unwrap().unwrap().agent(), made.agent());
}

#[test]
fn a_key_that_may_not_be_read_is_an_error_and_left_alone() {
    let (root, dir) = data_dir();
    let made = Identity::load_or_create(&dir).unwrap();
    let file = dir.join(KEY_FILE);
    for path in [root.path(), &dir] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    if !is_root() {
        fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    }
    let errors = as_an_ordinary_user(|| {
        [Identity::load_or_create(&dir).unwrap_err(), Identity::load(&dir).unwrap_err()]
    });
    for error in errors {
        assert!(matches!(error, IdentityError::Unreadable { .. }), "{error:?}");
        assert!(error.source().unwrap().to_string().contains("ermission denied"), "{error:?}");
        judge(&error, &dir);
    }
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(Identity::load(&dir).unwrap().unwrap().agent(), made.agent());
    assert_eq!(snapshot(&dir).len(), 1);
}

#[test]
fn a_directory_that_may_not_be_written_is_an_error_and_stays_empty() {
    let (root, dir) = data_dir();
    fs::create_dir(&dir).unwrap();
    for path in [root.path(), &dir] {
        fs::set_permissions(path, Permissions::from_mode(0o555)).unwrap();
    }
    let (key, directory) = as_an_ordinary_user(|| {
        let missing = root.path().join("missing");
        (
            Identity::load_or_create(&dir).unwrap_err(),
            Identity::load_or_create(&missing).unwrap_err(),
        )
    });
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(key, IdentityError::NotCreated { .. }), "{key:?}");
    judge(&key, &dir);
    assert!(matches!(directory, IdentityError::NoDataDir { .. }), "{directory:?}");
    assert!(snapshot(&dir).is_empty());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn eight_processes_at_once_get_one_key() {
    if let Some(dir) = std::env::var_os(CHILD_DIR) {
        return answer_as_child(Path::new(&dir));
    }
    let (_root, dir) = data_dir();
    let mut children: Vec<_> = (0..8).map(|_| spawn_child(&dir)).collect();
    let mut answers: Vec<_> =
        children.iter_mut().map(|child| BufReader::new(child.stdout.take().unwrap())).collect();
    for answer in &mut answers {
        assert_eq!(next_word(answer, "ready"), "");
    }
    for child in &mut children {
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    let agents: Vec<_> = answers.iter_mut().map(|answer| next_word(answer, "agent")).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let agent = Identity::load(&dir).unwrap().unwrap().agent().to_string();
    assert_eq!(agents, vec![agent; 8]);
    assert_eq!(snapshot(&dir).keys().collect::<Vec<_>>(), [KEY_FILE]);
}

#[test]
fn a_key_published_second_leaves_the_first_in_place() {
    let (_root, dir) = data_dir();
    Identity::load_or_create(&dir).unwrap();
    let before = snapshot(&dir);
    let published =
        key_file::publish(&dir, &dir.join(KEY_FILE), &key_file::draw_seed(), AgentId([7; 32]));
    assert!(matches!(published, Ok(Published::AlreadyThere)));
    assert_eq!(snapshot(&dir), before);
}

#[test]
fn debug_output_names_the_agent_and_not_the_seed() {
    let (_root, dir) = data_dir();
    let identity = Identity::load_or_create(&dir).unwrap();
    assert_eq!(
        format!("{identity:?}"),
        format!("Identity {{ agent: {:?}, .. }}", identity.agent())
    );
}

#[test]
fn both_libraries_derive_one_key_and_accept_each_others_signatures() {
    for round in 0..4_u8 {
        let seed = [round.wrapping_mul(77); 32];
        let ours = ml_dsa::KeyPair::from_seed(&seed).unwrap();
        let theirs = SigningKey::<MlDsa65>::from_seed(&seed.into());
        assert_eq!(ours.public_key(), theirs.expanded_key().verifying_key().encode().as_slice());

        let message = [b"x0x/test/v1".as_slice(), &[round; 200]].concat();
        let signature = theirs.sign(&message).encode();
        assert!(MlDsa.verify(ours.public_key(), &message, &signature));
        let signature = ours.sign(&message).unwrap();
        let signature = ::ml_dsa::Signature::try_from(signature.as_slice()).unwrap();
        theirs.expanded_key().verifying_key().verify(&message, &signature).unwrap();
    }
}

#[test]
fn a_signature_holds_for_its_message_and_key_alone() {
    let (_root, dir) = data_dir();
    let (_other_root, other) = data_dir();
    let identity = Identity::load_or_create(&dir).unwrap();
    let other = Identity::load_or_create(&other).unwrap();
    let signature = identity.sign(b"message").unwrap();
    assert!(MlDsa.verify(identity.public_key(), b"message", &signature));
    assert!(!MlDsa.verify(identity.public_key(), b"messagf", &signature));
    assert!(!MlDsa.verify(identity.public_key(), b"", &signature));
    assert!(!MlDsa.verify(other.public_key(), b"message", &signature));
    for at in [0, 48, SIGNATURE_BYTES / 2, SIGNATURE_BYTES - 1] {
        let mut changed = signature.clone();
        changed[at] ^= 1;
        assert!(!MlDsa.verify(identity.public_key(), b"message", &changed), "byte {at}");
    }
}

#[test]
fn malformed_keys_and_signatures_are_refused_without_a_panic() {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::signature::{KeyPair, ML_DSA_65_SIGNING, PqdsaKeyPair};

    let pair = PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, &[5; 32]).unwrap();
    let key = pair.public_key().as_ref();
    let mut signature = vec![0; SIGNATURE_BYTES];
    pair.sign(b"message", &mut signature).unwrap();
    assert!(MlDsa.verify(key, b"message", &signature));
    let longer = [signature.as_slice(), &[0]].concat();
    for wrong in [&[][..], &signature[1..], &signature[..SIGNATURE_BYTES - 1], &longer] {
        assert!(!MlDsa.verify(key, b"message", wrong), "{} bytes", wrong.len());
    }
    let der = pair.public_key().as_der().unwrap();
    for wrong in [&[][..], &key[1..], der.as_ref(), &[0xff; PUBLIC_KEY_BYTES]] {
        assert!(!MlDsa.verify(wrong, b"message", &signature), "{} bytes", wrong.len());
    }
}

#[test]
fn sizes_are_those_of_fips_204() {
    assert_eq!((PUBLIC_KEY_BYTES, SIGNATURE_BYTES, ml_dsa::SEED_BYTES), (1_952, 3_309, 32));
    let (_root, dir) = data_dir();
    let identity = Identity::load_or_create(&dir).unwrap();
    assert_eq!(identity.public_key().len(), PUBLIC_KEY_BYTES);
    assert_eq!(identity.sign(b"").unwrap().len(), SIGNATURE_BYTES);
}

/// Returns a directory to keep alive and, inside it, the path of a data directory that is not there.
fn data_dir() -> (tempfile::TempDir, std::path::PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    (root, dir)
}

/// Returns each name in `dir` with kind, mode, inode and bytes.
fn snapshot(dir: &Path) -> BTreeMap<String, (u32, u64, Vec<u8>)> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.path().symlink_metadata().unwrap();
            let bytes = if metadata.is_file() { fs::read(entry.path()).unwrap() } else { vec![] };
            let name = entry.file_name().into_string().unwrap();
            (name, (metadata.mode(), metadata.ino(), bytes))
        })
        .collect()
}

/// Returns the error of loading, after checking that both ways to load fail and change nothing.
fn refused(dir: &Path) -> IdentityError {
    let before = snapshot(dir);
    judge(&Identity::load_or_create(dir).unwrap_err(), dir);
    let error = Identity::load(dir).unwrap_err();
    judge(&error, dir);
    assert_eq!(snapshot(dir), before);
    error
}

/// Checks that a message names the file, says what to do, and advises nothing that loses the key.
fn judge(error: &IdentityError, dir: &Path) {
    let text = error.to_string();
    assert!(text.contains(&dir.join(KEY_FILE).display().to_string()), "{text}");
    assert!(text.contains("--data-dir") || text.contains("chmod 600"), "{text}");
    for harmful in ["delete", "remove", "rm ", "new key", "re-create", "recreate", "init", "force"]
    {
        assert!(!text.contains(harmful), "{text}");
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs `act` without root's power to pass by permissions: in a thread that has become another user.
fn as_an_ordinary_user<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

    if !is_root() {
        return act();
    }
    let run = move || {
        let (uid, gid) = (Uid::from_raw(65_534), Gid::from_raw(65_534));
        set_thread_groups(&[]).unwrap();
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        act()
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

fn spawn_child(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "identity::tests::eight_processes_at_once_get_one_key", "--nocapture"])
        .env(CHILD_DIR, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn answer_as_child(dir: &Path) {
    println!("\nready");
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).unwrap();
    println!("\nagent{}", Identity::load_or_create(dir).unwrap().agent());
}

/// Returns what follows `word` on the next line that begins with it, past what the test runner prints.
fn next_word(answer: &mut impl BufRead, word: &str) -> String {
    for line in answer.lines() {
        if let Some(rest) = line.unwrap().strip_prefix(word) {
            return rest.to_owned();
        }
    }
    panic!("a process ended without saying '{word}'");
}
