use super::{Access, HEADER, Issued, Revoked, URL_SAFE_NO_PAD};
use base64::Engine as _;
use maestria_api::meta::Role;
use maestria_kernel::At;
use std::time::Duration;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn access() -> Access {
    Access::of(TOKEN.to_owned(), "/nowhere/at/all".into())
}

#[test]
fn a_credential_is_its_owners_until_its_end_and_under_its_token_only() {
    let (access, now) = (access(), At(1_000_000));
    let Issued { credential, end, .. } = access.issue("ci", Role::Viewer, now, Duration::from_secs(60)).unwrap();
    let caller = access.whose(&credential, now).unwrap();
    assert_eq!((caller.name.as_str(), caller.role), ("ci", Role::Viewer));
    assert_eq!(access.whose(&credential, end), None);
    assert_eq!(access.whose(&credential, At(0)), None);
    let other = Access::of("another-token-another-token-anot".to_owned(), "/nowhere/at/all".into());
    assert_eq!(other.whose(&credential, now), None);
    assert_eq!(access.whose(access.token(), now).unwrap().role, Role::Admin);
}

#[test]
fn nothing_that_was_touched_is_taken() {
    let (access, now) = (access(), At(1_000_000));
    let Issued { credential, .. } = access.issue("ci", Role::Viewer, now, Duration::from_secs(60)).unwrap();
    for place in 0..credential.len() {
        let mut touched = credential.clone().into_bytes();
        touched[place] = if touched[place] == b'A' { b'B' } else { b'A' };
        let touched = String::from_utf8(touched).unwrap();
        // The last character of a seal has bits that decode to nothing.
        let same = |t: &str| URL_SAFE_NO_PAD.decode(t.rsplit('.').next().unwrap_or_default()).ok();
        if touched != credential && same(&touched) != same(&credential) {
            assert_eq!(access.whose(&touched, now), None, "{place}");
        }
    }
    for forged in ["", ".", "..", "a.b.c", "token", "0123456789abcdef0123456789abcde"] {
        assert_eq!(access.whose(forged, now), None, "{forged}");
    }
    let unsigned = HEADER.replace("HS256", "none");
    let body = credential.split('.').nth(1).unwrap();
    let forged = format!("{}.{body}.", URL_SAFE_NO_PAD.encode(unsigned));
    assert_eq!(access.whose(&forged, now), None);
}

#[test]
fn a_code_is_good_once_and_for_ten_minutes() {
    let (access, now) = (access(), At(1_000_000));
    let code = access.code(now).unwrap();
    let Issued { credential, .. } = access.redeem(&code, now).unwrap();
    assert_eq!(access.whose(&credential, now).unwrap().name, "dashboard");
    assert!(access.redeem(&code, now).is_none());
    let late = access.code(now).unwrap();
    assert!(access.redeem(&late, At(now.0 + 600_000)).is_none());
    assert!(access.redeem(&late.replace('.', "0."), now).is_none());
    assert!(access.whose(&late, now).is_none(), "a code is no credential");
    assert!(access.redeem(&credential, now).is_none(), "a credential is no code");
}

/// A door with a register in a folder of its own.
fn with_register() -> (tempfile::TempDir, impl Fn() -> Access) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.keys");
    (folder, move || Access::of(TOKEN.to_owned(), file.clone()))
}

#[test]
fn a_key_is_its_owners_until_its_end_and_is_not_kept() {
    let (folder, open) = with_register();
    let (access, now) = (open(), At(1_000_000));
    let (key, line) = access
        .add_key("ci", Role::Operator, now, Some(Duration::from_secs(60)))
        .unwrap();
    let caller = access.whose(&key, now).unwrap();
    assert_eq!((caller.name.as_str(), caller.role), ("ci", Role::Operator));
    assert_eq!(access.whose(&key, At(1_060_000)), None);
    assert!(key.starts_with(&line.prefix) && key.len() > 70, "{line:?}");
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = entry.unwrap().path();
        assert!(
            !std::fs::read_to_string(&path).unwrap().contains(&key[12..40]),
            "{path:?}"
        );
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
    }
    for place in 0..key.len() {
        let mut touched = key.clone().into_bytes();
        touched[place] = if touched[place] == b'1' { b'2' } else { b'1' };
        let touched = String::from_utf8(touched).unwrap();
        assert_eq!(access.whose(&touched, now), None, "{place}");
    }
    let other = Access::of(
        "another-token-another-token-anot".to_owned(),
        folder.path().join("server.keys"),
    );
    assert_eq!(other.whose(&key, now), None, "a new token ends all keys");
}

#[test]
fn what_another_process_revokes_is_good_no_more_at_once() {
    let (_folder, open) = with_register();
    let (server, terminal, now) = (open(), open(), At(1_000_000));
    let (key, _) = terminal.add_key("ci", Role::Admin, now, None).unwrap();
    let Issued { credential, id, .. } = terminal
        .issue("eve", Role::Viewer, now, Duration::from_secs(60))
        .unwrap();
    let mut changes = server.changes.subscribe();
    assert!(server.whose(&key, now).is_some() && server.whose(&credential, now).is_some());
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    assert!(matches!(terminal.revoke("ci", now).unwrap(), Revoked::Key(line) if line.revoked_at == Some(now)));
    assert_eq!(server.whose(&key, now), None);
    assert!(changes.has_changed().unwrap(), "open streams are told");
    assert!(matches!(terminal.revoke(&id, now).unwrap(), Revoked::Credential(told) if told == id));
    assert_eq!(server.whose(&credential, now), None);
    let Issued { credential, .. } = terminal
        .issue("eve", Role::Viewer, now, Duration::from_secs(60))
        .unwrap();
    assert!(server.whose(&credential, now).is_some());
    terminal.revoke(&credential, now).unwrap();
    assert_eq!(server.whose(&credential, now), None, "by itself, too");
    for nothing in ["ci", "nobody", "", &format!("{id}0")] {
        assert!(terminal.revoke(nothing, now).is_err(), "{nothing}");
    }
    assert_eq!(open().whose(&key, now), None, "and after a restart");
}

#[test]
fn a_name_is_given_once_and_never_one_of_the_servers_own() {
    let (_folder, open) = with_register();
    let access = open();
    access.add_key("ci", Role::Viewer, At(1), None).unwrap();
    access.revoke("ci", At(2)).unwrap();
    for name in ["ci", "token", "dashboard", "", "a b", "../x", &"n".repeat(65)] {
        assert!(access.add_key(name, Role::Admin, At(3), None).is_err(), "{name}");
    }
}

#[test]
fn the_last_use_is_listed() {
    let (_folder, open) = with_register();
    let access = open();
    let (key, _) = access.add_key("ci", Role::Viewer, At(1), None).unwrap();
    access.add_key("idle", Role::Viewer, At(1), None).unwrap();
    assert!(access.whose(&key, At(5_000)).is_some());
    let used: Vec<_> = access.keys().unwrap().into_iter().map(|line| line.used_at).collect();
    assert_eq!(used, [Some(At(5_000)), None]);
    assert_eq!(open().keys().unwrap()[0].used_at, Some(At(5_000)));
}

#[test]
fn a_register_that_cannot_be_read_lets_nobody_in_but_the_token() {
    let (folder, open) = with_register();
    let access = open();
    let (key, _) = access.add_key("ci", Role::Viewer, At(1), None).unwrap();
    let Issued { credential, .. } = access
        .issue("eve", Role::Viewer, At(1), Duration::from_secs(60))
        .unwrap();
    std::fs::write(folder.path().join("server.keys"), "{").unwrap();
    assert_eq!(
        (access.whose(&key, At(1)), access.whose(&credential, At(1))),
        (None, None)
    );
    assert!(access.whose(TOKEN, At(1)).is_some());
    assert!(access.revoke("ci", At(2)).is_err(), "nothing is written over it");
}
