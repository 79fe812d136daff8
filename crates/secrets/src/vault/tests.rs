use super::*;
use std::{fs, os::unix::fs::PermissionsExt as _};

fn entry(value: &str) -> Entry {
    Entry {
        value: Secret::new(value),
        set_at: 1,
    }
}

fn vault() -> (tempfile::TempDir, Vault) {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::at(folder.path().join("secrets"));
    (folder, vault)
}

fn key_file(vault: &Vault) -> PathBuf {
    let named = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("key-"))
    };
    let mut keys: Vec<PathBuf> = fs::read_dir(&vault.folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(named)
        .collect();
    assert_eq!(keys.len(), 1, "one key opens it: {keys:?}");
    keys.remove(0)
}

#[test]
fn what_is_kept_comes_back_and_lies_nowhere_in_the_clear() {
    let (_folder, vault) = vault();
    assert!(matches!(vault.read(None), Err(VaultError::None)));
    vault.set("anthropic", entry("vault-value-one-1"), None).unwrap();
    vault.set("openai", entry("vault-value-two-2"), None).unwrap();
    vault.set("openai", entry("vault-value-three-3"), None).unwrap();
    let read = vault.read(None).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!(read["openai"].value.reveal(), "vault-value-three-3");
    assert_eq!(crate::funnel().clean("a vault-value-three-3"), "a [secret:openai]");
    for file in fs::read_dir(&vault.folder).unwrap() {
        let path = file.unwrap().path();
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert!(
            !text.contains("vault-value") && !text.contains("anthropic"),
            "{}",
            path.display()
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    vault.remove("openai", None).unwrap();
    assert!(matches!(vault.remove("openai", None), Err(VaultError::Unknown(_))));
    assert_eq!(vault.read(None).unwrap().keys().collect::<Vec<_>>(), ["anthropic"]);
}

#[test]
fn every_flipped_byte_is_found_and_costs_nothing_else() {
    let (_folder, vault) = vault();
    vault.set("anthropic", entry("vault-value-one-1"), None).unwrap();
    let whole = fs::read(vault.path()).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(vault.path(), &changed).unwrap();
        // White space between the members says nothing.
        let same = serde_json::from_slice::<serde_json::Value>(&changed).ok()
            == serde_json::from_slice::<serde_json::Value>(&whole).ok();
        assert_eq!(vault.read(None).is_ok(), same, "byte {at}");
        let overwritten = vault.set("x", entry("another-value"), None);
        if overwritten.is_err() {
            assert_eq!(
                fs::read(vault.path()).unwrap(),
                changed,
                "what cannot be read is not written over"
            );
        }
    }
    for cut in [0, 1, whole.len() / 2, whole.len() - 2] {
        fs::write(vault.path(), &whole[..cut]).unwrap();
        assert!(
            matches!(vault.read(None), Err(VaultError::Damaged { .. })),
            "cut at {cut}"
        );
    }
    fs::write(vault.path(), &whole).unwrap();
    assert_eq!(
        vault.read(None).unwrap()["anthropic"].value.reveal(),
        "vault-value-one-1"
    );
}

#[test]
fn a_passphrase_locks_and_unlocks() {
    let (_folder, vault) = vault();
    let (right, wrong) = (
        Secret::new("correct horse battery"),
        Secret::new("incorrect horse battery"),
    );
    assert!(matches!(
        vault.set("a", entry("some-value"), Some(&Secret::new("short"))),
        Err(VaultError::Passphrase)
    ));
    vault.set("a", entry("some-value"), Some(&right)).unwrap();
    assert_eq!(vault.lock_kind().unwrap(), Some(LockKind::Passphrase));
    assert_eq!(vault.read(Some(&right)).unwrap()["a"].value.reveal(), "some-value");
    assert!(matches!(vault.read(None), Err(VaultError::NoPassphrase)));
    assert!(matches!(vault.read(Some(&wrong)), Err(VaultError::WrongKey { .. })));
    let before = fs::read(vault.path()).unwrap();
    assert!(vault.set("a", entry("other-value"), Some(&wrong)).is_err());
    assert!(vault.rotate(Some(&wrong), Some(&wrong)).is_err());
    assert_eq!(
        fs::read(vault.path()).unwrap(),
        before,
        "who cannot open it changes nothing"
    );
}

#[test]
fn rotation_makes_everything_new_and_keeps_what_lies_in_it() {
    let (_folder, vault) = vault();
    vault.set("a", entry("some-value"), None).unwrap();
    let (old_key, old_vault) = (key_file(&vault), fs::read(vault.path()).unwrap());
    vault.rotate(None, None).unwrap();
    assert_ne!(key_file(&vault), old_key);
    assert_eq!(vault.read(None).unwrap()["a"].value.reveal(), "some-value");
    let now = fs::read(vault.path()).unwrap();
    fs::write(vault.path(), &old_vault).unwrap();
    assert!(
        matches!(vault.read(None), Err(VaultError::KeyGone(_))),
        "the old vault opens no more"
    );
    fs::write(vault.path(), &now).unwrap();
    let passphrase = Secret::new("several words are best");
    vault.rotate(None, Some(&passphrase)).unwrap();
    assert_eq!(vault.read(Some(&passphrase)).unwrap()["a"].value.reveal(), "some-value");
    let left: Vec<String> = fs::read_dir(&vault.folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().display().to_string())
        .collect();
    assert!(left.iter().all(|name| !name.starts_with("key-")), "{left:?}");
}

#[test]
fn files_that_others_can_read_are_not_believed() {
    let (_folder, vault) = vault();
    vault.set("a", entry("some-value"), None).unwrap();
    for path in [vault.path(), key_file(&vault)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = vault.read(None).unwrap_err();
        assert!(
            refused.to_string().contains("mode 644") && refused.to_string().contains("chmod 600"),
            "{refused}"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let key = key_file(&vault);
    fs::rename(&key, vault.folder.join("elsewhere")).unwrap();
    assert!(matches!(vault.read(None), Err(VaultError::KeyGone(_))));
    std::os::unix::fs::symlink(vault.folder.join("elsewhere"), &key).unwrap();
    assert!(matches!(vault.read(None), Err(VaultError::Loose { .. })));
    fs::remove_file(&key).unwrap();
    fs::rename(vault.folder.join("elsewhere"), &key).unwrap();
    assert!(vault.read(None).is_ok());
}

#[test]
fn bad_names_and_values_are_refused() {
    let (_folder, vault) = vault();
    for name in ["", "a b", "../a", "é", &"x".repeat(65)] {
        assert!(
            matches!(vault.set(name, entry("some-value"), None), Err(VaultError::Name(_))),
            "{name}"
        );
    }
    for value in ["", " \n", "a\0b", &"x".repeat(LONGEST + 1)] {
        assert!(matches!(vault.set("a", entry(value), None), Err(VaultError::Value(_))));
    }
    let newer = "{\"format\": 2}";
    fs::create_dir_all(&vault.folder).unwrap();
    fs::write(vault.path(), newer).unwrap();
    fs::set_permissions(vault.path(), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(vault.read(None), Err(VaultError::Newer { found: 2, .. })));
}

#[test]
fn many_writers_lose_nothing() {
    let (_folder, vault) = vault();
    let writers: Vec<_> = (0..8)
        .map(|number| {
            let vault = vault.clone();
            std::thread::spawn(move || vault.set(&format!("name-{number}"), entry("some-value"), None))
        })
        .collect();
    for writer in writers {
        writer.join().unwrap().unwrap();
    }
    assert_eq!(vault.read(None).unwrap().len(), 8);
}
