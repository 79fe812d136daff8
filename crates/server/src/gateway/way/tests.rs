use super::choose;
use crate::config::Workers;
use maestria_agents::cli::{AgentConfig, Kind, Way};
use maestria_gateway::{Gateway, ProviderConfig, Setup};
use std::collections::BTreeMap;

fn gateway(dialect: &str, models: &[&str]) -> Gateway {
    let provider = ProviderConfig {
        name: "p".to_owned(),
        dialect: dialect.to_owned(),
        models: models.iter().map(|m| (*m).to_owned()).collect(),
        ..ProviderConfig::default()
    };
    Gateway::new(Setup {
        providers: vec![provider],
        ..Setup::default()
    })
    .unwrap()
}

fn auto(gateway: &Gateway, kind: Kind, change: impl FnOnce(&mut AgentConfig)) -> Way {
    let mut config = AgentConfig::default();
    change(&mut config);
    choose(Workers::Auto, gateway, kind, &config, &BTreeMap::new())
}

fn stands_in(model: Option<&str>) -> Way {
    Way::Gateway {
        stand_in: model.map(str::to_owned),
    }
}

#[test]
fn who_is_served_goes_through_the_gateway() {
    let claude = gateway("openai", &["gpt-5", "anthropic/claude-sonnet-4-5"]);
    let found = stands_in(Some("p/anthropic/claude-sonnet-4-5"));
    assert_eq!(auto(&claude, Kind::Claude, |_| {}), found);
    assert_eq!(auto(&claude, Kind::Codex, |_| {}), stands_in(Some("p/gpt-5")));
    assert_eq!(auto(&claude, Kind::Opencode, |_| {}), stands_in(Some("p/gpt-5")));
    let named = auto(&claude, Kind::Gemini, |c| c.model = Some("gpt-5".to_owned()));
    assert_eq!(named, stands_in(Some("gpt-5")), "what it is told to use is served");
    let any = gateway("anthropic", &["*"]);
    assert_eq!(auto(&any, Kind::Claude, |_| {}), stands_in(None));
    for (kind, gateway) in [(Kind::Gemini, &claude), (Kind::Codex, &any), (Kind::Acp, &claude)] {
        assert!(matches!(auto(gateway, kind, |_| {}), Way::OwnBecause(why) if why.contains("no configured provider")));
    }
    let none = Gateway::new(Setup::default()).unwrap();
    assert_eq!(auto(&none, Kind::Claude, |_| {}), Way::Own);
}

#[test]
fn what_a_person_has_set_up_for_an_agent_comes_first() {
    let served = gateway("anthropic", &["claude-sonnet-4-5"]);
    let because = |way: Way| match way {
        Way::OwnBecause(why) => why,
        other => panic!("{other:?}"),
    };
    let env = |name: &str| {
        let name = name.to_owned();
        move |config: &mut AgentConfig| drop(config.env.insert(name, "x".to_owned()))
    };
    assert!(because(auto(&served, Kind::Claude, env("ANTHROPIC_BASE_URL"))).contains("own settings"));
    assert!(because(auto(&served, Kind::Claude, env("ANTHROPIC_API_KEY"))).contains("key of its own"));
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".claude")).unwrap();
    std::fs::write(home.path().join(".claude/.credentials.json"), "{}").unwrap();
    let caller: BTreeMap<_, _> = [("HOME".to_owned(), home.path().display().to_string())].into();
    let config = AgentConfig::default();
    let with_login = |workers| choose(workers, &served, Kind::Claude, &config, &caller);
    assert!(because(with_login(Workers::Auto)).contains("login"));
    assert!(because(with_login(Workers::Never)).contains("never"));
    assert_eq!(with_login(Workers::Always), stands_in(Some("p/claude-sonnet-4-5")));
    let always = choose(Workers::Always, &served, Kind::Codex, &config, &caller);
    assert_eq!(always, stands_in(Some("auto")), "any agent on any model");
}
