//! `maestria secrets`: from stdin into the vault, from there to the provider, and nowhere else.

use crate::{
    process::{Left, left, program},
    workers::Scene,
};
use maestria_testkit::model::ModelServer;
use std::{
    fs::{self, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

const KEY: &str = "vault-key-of-the-provider-77";
const PASSPHRASE: &str = "several words are best";

fn secrets(home: &Path, words: &[&str], input: &str, passphrase: Option<&str>) -> Left {
    let mut command = program(home, &["secrets"]);
    command
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.envs(passphrase.map(|text| ("MAESTRIA_PASSPHRASE", text)));
    let mut child = command.spawn().unwrap();
    // Who refuses before it reads closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    left(&child.wait_with_output().unwrap())
}

fn folder(home: &Path) -> PathBuf {
    home.join(".local/share/maestria/secrets")
}

#[test]
fn a_secret_is_kept_listed_rotated_and_forgotten_and_never_shown() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    assert!(secrets(home, &["list"], "", None).out.contains("no secrets yet"));
    let kept = secrets(home, &["set", "anthropic"], &format!("{KEY}\n"), None);
    assert_eq!(kept.code, 0, "{}", kept.err);
    assert!(!kept.out.contains("fewer than"), "{}", kept.out);
    let short = secrets(home, &["set", "short"], "1234567\n", None);
    assert!(
        short.code == 0 && short.out.contains("fewer than 8 bytes"),
        "{}",
        short.out
    );
    assert_eq!(secrets(home, &["remove", "short"], "", None).code, 0);
    let listed = secrets(home, &["list"], "", None);
    assert!(
        listed.out.contains("anthropic") && !listed.out.contains(KEY),
        "{}",
        listed.out
    );
    assert_eq!(
        secrets(home, &["rotate", "--lock", "passphrase"], PASSPHRASE, None).code,
        0
    );
    let locked = secrets(home, &["list"], "", None);
    assert!(
        locked.code == 1 && locked.err.contains("MAESTRIA_PASSPHRASE"),
        "{}",
        locked.err
    );
    let wrong = secrets(home, &["list"], "", Some("several other words"));
    assert!(wrong.code == 1 && wrong.err.contains("does not open"), "{}", wrong.err);
    assert!(
        secrets(home, &["list", "--json"], "", Some(PASSPHRASE))
            .out
            .contains("\"anthropic\"")
    );
    assert_eq!(secrets(home, &["rotate"], "", Some(PASSPHRASE)).code, 0);
    assert_eq!(secrets(home, &["remove", "anthropic"], "", Some(PASSPHRASE)).code, 0);
    let gone = secrets(home, &["remove", "anthropic"], "", Some(PASSPHRASE));
    assert!(
        gone.code == 1 && gone.err.contains("no secret `anthropic`"),
        "{}",
        gone.err
    );
    for file in fs::read_dir(folder(home)).unwrap() {
        let text = fs::read(file.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&text).contains(KEY));
    }
}

#[test]
fn bad_input_is_refused_with_a_hint_and_costs_nothing() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    for (words, input) in [
        (&["set", "a/b"][..], KEY),
        (&["set", "a"], ""),
        (&["set", "a"], "a\0b"),
        (&["rotate"], ""),
    ] {
        let refused = secrets(home, words, input, None);
        assert!(
            refused.code == 1 && !refused.err.is_empty(),
            "{words:?}: {}",
            refused.err
        );
    }
    assert_eq!(secrets(home, &["set", "a"], KEY, None).code, 0);
    let vault = folder(home).join("vault.json");
    fs::set_permissions(&vault, Permissions::from_mode(0o640)).unwrap();
    let loose = secrets(home, &["list"], "", None);
    assert!(loose.code == 1 && loose.err.contains("chmod 600"), "{}", loose.err);
    fs::set_permissions(&vault, Permissions::from_mode(0o600)).unwrap();
    let whole = fs::read_to_string(&vault).unwrap();
    fs::write(&vault, whole.replacen("sealed\": \"", "sealed\": \"A", 1)).unwrap();
    let damaged = secrets(home, &["set", "b"], KEY, None);
    assert!(damaged.code == 1 && damaged.err.contains("vault"), "{}", damaged.err);
    fs::write(&vault, whole).unwrap();
    assert!(secrets(home, &["list"], "", None).out.contains('a'));
}

/// The provider gets the key; a vault without it stops the call before it is made.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_uses_what_lies_in_the_vault() {
    let server = ModelServer::start().await;
    let scene = Scene::new(&server, "", "");
    let config = scene.home().join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    let key = text.lines().find(|line| line.starts_with("key = ")).unwrap();
    fs::write(&config, text.replacen(key, "key_secret = \"anthropic\"", 1)).unwrap();
    let task = r#"Make a file @script {"steps":[{"write":{"path":"made.txt","content":"x\n"}},{"text":"done"}]}"#;
    let wish = [
        "run",
        task,
        "--target",
        "app",
        "--workflow",
        "solo",
        "--agents",
        "native-vendor",
    ];
    let without = scene.run(&wish);
    assert!(
        without.code == 1 && without.err.contains("maestria secrets set"),
        "{}",
        without.err
    );
    assert_eq!(secrets(scene.home(), &["set", "other"], KEY, None).code, 0);
    let unknown = scene.run(&wish);
    assert!(
        unknown.code == 1 && unknown.err.contains("no secret `anthropic`"),
        "{}",
        unknown.err
    );
    assert_eq!(secrets(scene.home(), &["set", "anthropic"], KEY, None).code, 0);
    let ended = scene.run(&wish);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(server.asked() > 0);
    let keyed = |asked: &maestria_testkit::model::Asked| asked.headers.iter().any(|(name, _)| name == "x-api-key");
    assert!(server.requests().iter().any(keyed), "the provider was given the key");
    assert!(!scene.run(&["config", "show"]).out.contains(KEY));
}
