use super::{Config, Sources, Workflows};
use maestria_kernel::{Cost, workflow::Limits};
use std::{collections::BTreeMap, time::Duration};

fn load(file: &str, env: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(&path, file).unwrap();
    let mut variables: BTreeMap<String, String> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    variables.insert("HOME".to_owned(), "/h".to_owned());
    let sources = Sources {
        file: Some(path.clone()),
        env: variables,
    };
    Config::load(&sources).map_err(|e| e.to_string().replace(&path.display().to_string(), "c.toml"))
}

fn show(config: &Config, origins: bool) -> String {
    config.settings(std::path::Path::new("c.toml")).to_toml(origins)
}

#[test]
fn defaults_stand_alone() {
    let config = load("", &[]).unwrap();
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.agents.keys().collect::<Vec<_>>(), ["claude", "codex", "gemini"]);
    assert_eq!(config.store.to_str(), Some("/h/.local/share/maestria/maestria.db"));
    assert_eq!(config.shares.len(), 3);
    assert_eq!(config.worker_memory, 2 << 30);
}

#[test]
fn the_environment_wins_over_the_file_and_each_value_knows_its_origin() {
    let file = "[limits]\nparallel = 2\n[budget]\nrun = 2.5\n";
    let config = load(
        file,
        &[("MAESTRIA_LIMITS__PARALLEL", "7"), ("MAESTRIA_CHECKS__TIMEOUT", "3m")],
    )
    .unwrap();
    assert_eq!((config.limits.parallel, config.run_budget), (7, Some(Cost(2_500_000))));
    assert_eq!(config.checks_timeout, Duration::from_secs(180));
    let shown = show(&config, true);
    assert!(
        shown.contains("parallel = 7  # environment MAESTRIA_LIMITS__PARALLEL"),
        "{shown}"
    );
    assert!(
        shown.contains("c.toml:4") && shown.contains("retries = 3  # default"),
        "{shown}"
    );
}

#[test]
fn mistakes_are_named_with_place_and_remedy() {
    let cases = [
        (
            "[limits]\nparalel = 2\n",
            "c.toml:2: unknown key `limits.paralel`; did you mean `limits.parallel`?",
        ),
        (
            "[limits]\nparallel = \"x\"\n",
            "c.toml:2: `limits.parallel` is \"x\"; expected a whole number",
        ),
        ("[limits]\nparallel = -1\n", "`limits.parallel` is -1"),
        (
            "[agents.x]\nkind = \"clade\"\ncommand = \"x\"\n",
            "did you mean \"claude\"?",
        ),
        ("[agents.x]\nkind = \"acp\"\n", "`agents.x.command` is missing"),
        (
            "[agents.x]\nkind = \"acp\"\ncomand = \"x\"\n",
            "unknown key `agents.x.comand`; did you mean `command`?",
        ),
        ("[providers.p]\nmodels = [\"m\"]\n", "`providers.p.dialect` is missing"),
        ("[checks]\ntimeout = \"5 lightyears\"\n", "expected a duration such as"),
        ("[shares]\ngemini = [50, 40]\n", "two percentages"),
        ("[workers]\ncpu_percent = 0\n", "a percentage from 1 to 100"),
        ("[limits\n", "c.toml:"),
    ];
    for (file, expected) in cases {
        let error = load(file, &[]).map(|_| ()).unwrap_err();
        assert!(error.contains(expected), "{file}\n{error}");
    }
    let both = load("[limits]\nretries = \"a\"\nparallel = \"b\"\n", &[])
        .map(|_| ())
        .unwrap_err();
    assert_eq!(both.lines().count(), 2, "all mistakes at once: {both}");
}

#[test]
fn secrets_are_never_shown() {
    let file = "[agents.claude]\nenv = { ANTHROPIC_API_KEY = \"sk-123\" }\n\
                [providers.p]\ndialect = \"openai\"\nkey = \"sk-456\"\n";
    let config = load(file, &[]).unwrap();
    assert_eq!(config.agents["claude"].env["ANTHROPIC_API_KEY"].reveal(), "sk-123");
    assert!(!format!("{config:?}").contains("sk-"));

    assert!(!show(&config, true).contains("sk-"), "{}", show(&config, true));
}

#[test]
fn what_is_shown_can_be_read_again() {
    let config = load("[limits]\nparallel = 2\n", &[]).unwrap();
    let again = load(&show(&config, false), &[]).unwrap();
    assert_eq!(show(&again, false), show(&config, false));
}

#[test]
fn workflows_are_found_by_name_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let all = Workflows::load(folder.path(), &Limits::default()).unwrap();
    assert!(all.get("develop").is_ok() && all.get("plan").is_ok() && all.get("review").is_ok());
    assert!(all.get("develp").unwrap_err().contains("did you mean `develop`?"));
    std::fs::write(
        folder.path().join("own.toml"),
        "name=\"own\"\ndescription=\"d\"\nstages=[\"edit\"]\n",
    )
    .unwrap();
    let error = Workflows::load(folder.path(), &Limits::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("own.toml") && error.contains("must begin with the stage `plan`"),
        "{error}"
    );
}

#[test]
fn the_starter_file_is_valid() {
    load(Config::STARTER, &[]).unwrap();
}

#[test]
fn routing_policies_can_be_ones_own() {
    let file = "[policies.mine]\nquality = 0.5\ncost = 0.4\n[policies.best]\nspeed = 1.0\n\
                [routes.default]\npolicy = \"mine\"\n[routes.quick]\npolicy = \"best\"\n\
                [providers.p]\ndialect = \"openai\"\nrequests_per_minute = 60\n";
    let config = load(file, &[]).unwrap();
    let policy = |route: &str| match &config.gateway.routes[route] {
        maestria_gateway::Route::Policy(policy) => (policy.quality, policy.cost, policy.speed),
        other @ maestria_gateway::Route::Chain(_) => panic!("{other:?}"),
    };
    assert_eq!(policy("default"), (0.5, 0.4, 0.0));
    assert_eq!(
        policy("quick"),
        (0.0, 0.0, 1.0),
        "a built-in name can be given other weights"
    );
    assert_eq!(config.providers["p"].requests_per_minute, 60);
    let unknown = load(
        "[routes.default]\npolicy = \"mien\"\n[policies.mine]\ncost = 1.0\n",
        &[],
    )
    .unwrap_err();
    assert!(unknown.contains("did you mean \"mine\"?"), "{unknown}");
    let nothing = load("[policies.mine]\ncost = 0.0\n", &[]).unwrap_err();
    assert!(nothing.contains("[policies.mine] weighs nothing"), "{nothing}");
}

#[test]
fn telemetry_is_of_file_and_environment_and_its_headers_are_secret() {
    let file = "[telemetry]\notlp_endpoint = \"http://file:4318\"\nsample = 0.25\nheaders = { x-a = \"one-secret\" }\n";
    let config = load(file, &[]).unwrap();
    assert_eq!(config.telemetry.endpoint.as_deref(), Some("http://file:4318"));
    assert_eq!(
        (config.telemetry.sample_percent, config.telemetry.contents),
        (25, false)
    );
    let standard = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://env:4318/base"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "X-A=two%2Csecrets, x-b = three=3 ,"),
    ];
    let config = load(file, &standard).unwrap();
    assert_eq!(config.telemetry.endpoint.as_deref(), Some("https://env:4318/base"));
    let headers: Vec<_> = config
        .telemetry
        .headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.reveal()))
        .collect();
    assert_eq!(headers, [("x-a", "two,secrets"), ("x-b", "three=3")]);
    let shown = show(&config, true);
    assert!(shown.contains("# environment OTEL_EXPORTER_OTLP_HEADERS"), "{shown}");
    assert!(
        !shown.contains("secret") && !format!("{config:?}").contains("two,"),
        "{shown}"
    );
    let ours = [standard[0], ("MAESTRIA_TELEMETRY__OTLP_ENDPOINT", "http://ours:1")];
    assert_eq!(
        load("", &ours).unwrap().telemetry.endpoint.as_deref(),
        Some("http://ours:1")
    );
    assert_eq!(load("", &[]).unwrap().telemetry.traced(), None);
    let wrong = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "an address such as"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "key-without-value", "expected pairs"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=%zz", "expected pairs"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c", "cannot be sent as a header"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b%0Ac", "cannot be sent as a header"),
    ];
    for (name, value, told) in wrong {
        let error = load("", &[(name, value)]).map(|_| ()).unwrap_err();
        assert!(error.contains(told), "{name}={value}: {error}");
    }
}
