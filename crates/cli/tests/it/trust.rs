//! A repository that nobody trusts, from the person's side: opened, worked on, read, trusted, changed, revoked.

use crate::{process::Left, workers::Scene};
use maestria_testkit::model::ModelServer;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

struct Hostile {
    scene: Scene,
    mark: PathBuf,
}

impl Hostile {
    /// With an agent that notes what it sees, and a check that does.
    fn new(server: &ModelServer) -> Self {
        let program = maestria_testkit::built::program("fake-agent").unwrap();
        let look = "cat .claude/settings.json .env > seen.txt 2>&1; echo looked >> seen.txt";
        let plan = json!({"turns": [[{"shell": look}, {"say": "done"}]]});
        let agents = format!(
            "[agents.claude]\ncommand = {}\nenv = {{ FAKE_AGENT_AS = \"claude\", FAKE_AGENT_PLAN = {} }}\n",
            json!(program),
            json!(plan.to_string())
        );
        let scene = Scene::new(server, &agents, "");
        let mark = scene.home().join("ran");
        let this = Self { scene, mark };
        let script = this.scene.home().join("evil.sh");
        let text = format!("#!/bin/sh\necho \"$0\" >> {}\ncat\n", this.mark.display());
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        this.write(".claude/settings.json", "{\"hooks\": \"THE HOOKS\"}\n");
        this.write(".env", "TOKEN=THE VARIABLE\n");
        this.write("test.sh", "if grep -q VARIABLE .env; then echo the check saw it; fi\n");
        this.scene.git(&["add", "--all"]);
        this.scene.git(&[
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@localhost",
            "commit",
            "-qm",
            "more",
        ]);
        for hook in [
            "post-checkout",
            "pre-commit",
            "reference-transaction",
            "post-index-change",
        ] {
            fs::copy(&script, this.scene.home().join("app/.git/hooks").join(hook)).unwrap();
        }
        for key in [
            "core.fsmonitor",
            "core.pager",
            "core.sshCommand",
            "diff.external",
            "credential.helper",
        ] {
            this.scene.git(&["config", key, &script.display().to_string()]);
        }
        this
    }

    fn write(&self, file: &str, text: &str) {
        let place = self.scene.home().join("app").join(file);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
    }

    /// Runs the program, which executes nothing of the repository's choosing.
    fn quietly(&self, words: &[&str]) -> Left {
        let left = self.scene.run(words);
        let ran = fs::read_to_string(&self.mark).unwrap_or_default();
        assert_eq!(ran, "", "executed by {words:?}");
        left
    }

    /// A whole run; what the worker saw, and the run's events.
    fn work(&self) -> (String, Left) {
        let words = [
            "run",
            "Look around",
            "--target",
            "app",
            "--workflow",
            "solo",
            "--agents",
            "claude",
            "--jsonl",
        ];
        let ended = self.quietly(&words);
        assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
        let diff = self.quietly(&["diff"]).out;
        assert!(diff.contains("+looked"), "{diff}");
        (diff, ended)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_repository_brings_counts_once_it_is_trusted_and_as_long_as_it_stays_so() {
    let server = ModelServer::start().await;
    let hostile = Hostile::new(&server);
    for words in [
        &["doctor"][..],
        &["trust", "show", "app", "--content"],
        &["run", "x", "--target", "app", "--dry-run"],
    ] {
        hostile.quietly(words);
    }
    let shown = hostile.quietly(&["trust", "show", "app"]);
    assert!(
        shown.out.contains(".claude/settings.json") && shown.out.contains("not trusted"),
        "{}",
        shown.out
    );

    let (seen, ended) = hostile.work();
    assert!(!seen.contains("THE HOOKS") && !seen.contains("THE VARIABLE"), "{seen}");
    assert!(!ended.out.contains("the check saw it"), "{}", ended.out);
    assert!(
        ended
            .out
            .contains("agents and checks see nothing of them until you trust them"),
        "{}",
        ended.out
    );

    let unasked = hostile.quietly(&["trust", "add", "app"]);
    assert!(unasked.code != 0 && unasked.err.contains("--yes"), "{}", unasked.err);
    let added = hostile.quietly(&["trust", "add", "app", "--yes"]);
    assert!(
        added.code == 0 && added.out.contains("2 files"),
        "{}{}",
        added.out,
        added.err
    );
    let (seen, ended) = hostile.work();
    assert!(seen.contains("THE HOOKS") && seen.contains("THE VARIABLE"), "{seen}");
    assert!(ended.out.contains("you trust them as they are"), "{}", ended.out);

    // What is changed is not what was trusted; the rest still is.
    hostile.write(".env", "TOKEN=THE OTHER VARIABLE\n");
    let shown: Value = serde_json::from_str(&hostile.quietly(&["trust", "show", "app", "--json"]).out).unwrap();
    assert_eq!(shown["trusted"], false);
    let standings: Vec<&str> = shown["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["standing"].as_str().unwrap())
        .collect();
    assert_eq!(standings, ["trusted", "changed since you trusted it"]);
    let (seen, _) = hostile.work();
    assert!(seen.contains("THE HOOKS") && !seen.contains("VARIABLE"), "{seen}");

    let revoked = hostile.quietly(&["trust", "revoke", "app"]);
    assert_eq!(revoked.code, 0, "{}", revoked.err);
    assert!(
        hostile
            .quietly(&["trust", "list"])
            .out
            .contains("nothing of any repository")
    );
    let (seen, _) = hostile.work();
    assert!(!seen.contains("THE HOOKS"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_what_to_do() {
    let server = ModelServer::start().await;
    let hostile = Hostile::new(&server);
    let book = hostile.scene.home().join(".local/share/maestria/trust.json");
    for (words, expected) in [
        (&["trust", "show", "nowhere"][..], "name a folder"),
        (&["trust", "show", "."], "git init"),
        (&["trust", "revoke", "app"], "trust list"),
    ] {
        let left = hostile.quietly(words);
        assert!(left.code == 1 && left.err.contains(expected), "{words:?}: {}", left.err);
    }
    fs::create_dir_all(book.parent().unwrap()).unwrap();
    fs::write(&book, "{\"repositories\": nonsense").unwrap();
    for words in [
        &["trust", "show", "app"][..],
        &["trust", "add", "app", "--yes"],
        &["trust", "list"],
    ] {
        let left = hostile.quietly(words);
        assert!(
            left.code == 1 && left.err.contains("trust.json") && left.err.contains("mend"),
            "{}",
            left.err
        );
    }
    assert!(
        fs::read_to_string(&book).unwrap().contains("nonsense"),
        "it is left as it is"
    );
}
