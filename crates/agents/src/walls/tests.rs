use super::{Ground, addresses, network};
use crate::cli::Kind;
use maestria_sandbox::{Demand, Network};
use std::{ffi::OsString, fs, path::Path};

fn shown(network: &Network) -> String {
    network.to_string()
}

#[test]
fn addresses_are_found_in_values_of_any_form() {
    let found = |text: &str| addresses(text).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(found("http://127.0.0.1:8090/v1"), ["127.0.0.1:8090"]);
    assert_eq!(
        found("x.base_url=\"https://api.example.com/v1\""),
        ["api.example.com:443"]
    );
    assert_eq!(found("http://[::1]:80"), ["[::1]:80"]);
    assert_eq!(found("http://plain.example.com/x"), ["plain.example.com:80"]);
    assert_eq!(
        found("{\"a\":\"https://one.example\",\"b\":\"https://two.example:1\"}"),
        ["one.example:443", "two.example:1"]
    );
    assert!(
        found("no address, https:// and http://user@host")
            .iter()
            .all(|found| found != "host:80")
    );
}

#[test]
fn a_worker_reaches_its_models_and_nobody_else() {
    let env: Vec<(OsString, OsString)> = vec![("ANTHROPIC_BASE_URL".into(), "http://127.0.0.1:9".into())];
    assert_eq!(shown(&network(Kind::Claude, &env, &[], &[])), "list: 127.0.0.1:9");
    assert!(shown(&network(Kind::Claude, &[], &[], &[])).starts_with("list: api.anthropic.com:443"));
    let configured = ["registry.npmjs.org".to_owned(), "not a host".to_owned()];
    assert_eq!(
        shown(&network(Kind::Claude, &env, &[], &configured)),
        "list: 127.0.0.1:9 registry.npmjs.org:443"
    );
}

#[test]
fn tools_are_granted_and_tokens_beside_them_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for name in [
        "work",
        "cargo/bin",
        "cargo/registry",
        "node/bin",
        "node/lib",
        "app/node_modules/agent/bin",
    ] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::write(root.join("cargo/credentials.toml"), "token").unwrap();
    fs::write(root.join("app/node_modules/agent/bin/agent"), "").unwrap();
    let env: Vec<(OsString, OsString)> = vec![
        (
            "PATH".into(),
            format!("{0}/node/bin:{0}/cargo/bin:relative:/usr/bin", root.display()).into(),
        ),
        ("CARGO_HOME".into(), root.join("cargo").into()),
    ];
    let ground = Ground {
        program: &root.join("app/node_modules/agent/bin/agent"),
        worktree: &root.join("work"),
        read_only: false,
        write: vec![root.join("missing")],
        env: &env,
        hidden: &[],
        network: Network::None,
    };
    let profile = ground.walls(Demand::Required).unwrap().profile;
    let reads = |name: &str| profile.read.iter().any(|place| *place == root.join(name));
    for name in [
        "cargo/bin",
        "cargo/registry",
        "node/bin",
        "node/lib",
        "app/node_modules",
    ] {
        assert!(reads(name), "{name}: {:?}", profile.read);
    }
    for name in ["cargo", "cargo/credentials.toml", "node", "app", ""] {
        assert!(!reads(name), "{name}: {:?}", profile.read);
    }
    assert_eq!(profile.write, [root.join("work")]);
    assert!(
        !profile
            .read
            .iter()
            .any(|place| place == Path::new("/usr/bin") || place.is_relative())
    );
    assert!(ground.walls(Demand::Off).is_none());
}
