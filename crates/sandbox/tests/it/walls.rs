//! The sandbox as a worker meets it: what it may do works, what it may not is refused, and a missing layer keeps it from starting.

use std::path::{Path, PathBuf};

use maestria_sandbox::{Endpoint, Layer, Layers, Limits, Network, Profile, SpawnError, Spec, Supervised, Tier, Walls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::scene::{LONG, output};

/// Whether this machine can hold a sandbox at all; says so once where it cannot.
fn can() -> bool {
    let can = Tier::best() == Tier::Namespace;
    if !can {
        eprintln!("SKIPPED: this kernel or container refuses user namespaces, so there is no sandbox to test");
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI must be able to make namespaces"
        );
    }
    can
}

struct Stage {
    _folder: tempfile::TempDir,
    root: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["work/.git", "outside"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::fs::write(root.join("outside/secret"), "secret").unwrap();
        Self { _folder: folder, root }
    }

    fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    fn spec(&self, profile: Profile, script: &str) -> Spec {
        let mut spec = Spec::new("/bin/sh", self.work());
        spec.args = vec!["-c".into(), script.into()];
        spec.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
        spec.limits = Limits::none();
        spec.walls = Some(Walls::new(profile));
        spec
    }

    fn worker(&self, script: &str) -> Spec {
        self.spec(Profile::worker([self.work()]), script)
    }
}

async fn run(spec: Spec) -> (Option<i32>, String) {
    let mut worker = Supervised::spawn(spec).unwrap_or_else(|error| panic!("{}", chain(&error)));
    let said = output(&mut worker).await;
    (worker.wait().await.code, said)
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The folders that `..` leads through are not there for the worker.
#[tokio::test]
async fn a_program_is_found_by_a_winding_path() {
    if !can() {
        return;
    }
    let stage = Stage::new();
    let tool = stage.root.join("tools/bin/tool");
    std::fs::create_dir_all(tool.parent().unwrap()).unwrap();
    std::fs::write(&tool, "#!/bin/sh\necho found\n").unwrap();
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut profile = Profile::worker([stage.work()]);
    profile.read.push(stage.root.join("tools"));
    let mut spec = stage.spec(profile, "");
    spec.program = stage.root.join("outside/../tools/bin/tool");
    spec.args.clear();
    assert_eq!(run(spec).await, (Some(0), "found\n".to_owned()));
}

#[tokio::test]
async fn every_layer_is_proved() {
    if !can() {
        return;
    }
    let stage = Stage::new();
    let worker = Supervised::spawn(stage.worker("exit 3")).unwrap_or_else(|error| panic!("{}", chain(&error)));
    let standing = worker.standing().unwrap().clone();
    assert_eq!(standing.layers, Layers::ALL, "{standing}");
    assert!(standing.missing.is_empty());
    assert_eq!(worker.wait().await.code, Some(3));
}

#[tokio::test]
async fn each_layer_that_is_removed_is_missed() {
    if !can() {
        return;
    }
    let stage = Stage::new();
    for layer in Layer::ALL {
        let mut spec = stage.worker("touch started");
        if let Some(walls) = &mut spec.walls {
            walls.removed = Layers::of(&[layer]);
        }
        match Supervised::spawn(spec) {
            Err(SpawnError::Walls { missing, .. }) => assert!(missing.has(layer), "{layer}: only {missing} is missed"),
            Err(other) => panic!("{layer}: {}", chain(&other)),
            Ok(_) => panic!("{layer} was not missed"),
        }
        assert!(!stage.work().join("started").exists(), "{layer}: the program ran");
    }
}

#[tokio::test]
async fn a_degraded_worker_runs_and_says_so() {
    let stage = Stage::new();
    let mut spec = stage.worker("echo ran; cat ../outside/secret");
    if let Some(walls) = &mut spec.walls {
        walls.removed = Layers::NAMESPACES;
        walls.allow_degraded = true;
    }
    let mut worker = Supervised::spawn(spec).unwrap_or_else(|error| panic!("{}", chain(&error)));
    let standing = worker.standing().unwrap().clone();
    assert_eq!(standing.missing, Layers::NAMESPACES, "{standing}");
    assert!(standing.to_string().contains("DEGRADED"), "{standing}");
    assert_eq!(output(&mut worker).await, "ran\n");
}

#[tokio::test]
async fn it_works_where_it_may_and_nowhere_else() {
    if !can() {
        return;
    }
    let stage = Stage::new();
    let script = "echo mine > file && chmod 600 file && cat file
        echo t > /tmp/t && cat /tmp/t
        ls .git >/dev/null && echo git seen
        (echo x > .git/hook) 2>/dev/null && echo git changed
        (cat ../outside/secret) 2>/dev/null
        (echo x > ../outside/new) 2>/dev/null && echo outside changed
        (echo x > /etc/maestria-probe) 2>/dev/null && echo etc changed
        (echo err > /dev/stderr) 2>/dev/null && echo streams
        ls /home /root 2>/dev/null
        echo end";
    let (code, said) = run(stage.worker(script)).await;
    assert_eq!(said, "mine\nt\ngit seen\nstreams\nend\n");
    assert_eq!(code, Some(0));
    assert_eq!(std::fs::read_to_string(stage.work().join("file")).unwrap(), "mine\n");
    assert!(!Path::new("/etc/maestria-probe").exists());
    let owner = |path: PathBuf| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).unwrap());
    assert_eq!(
        owner(stage.work().join("file")),
        owner(stage.work()),
        "files belong to their folder's owner"
    );
}

#[tokio::test]
async fn a_reviewer_changes_nothing() {
    if !can() {
        return;
    }
    let stage = Stage::new();
    std::fs::write(stage.work().join("file"), "text").unwrap();
    let (_, said) = run(stage.spec(
        Profile::review([stage.work()]),
        "cat file; echo x > file; rm -f file; echo x > new",
    ))
    .await;
    assert_eq!(said, "text");
    assert_eq!(std::fs::read_to_string(stage.work().join("file")).unwrap(), "text");
    assert!(!stage.work().join("new").exists());
}

/// A server that answers every connection with one word.
async fn server(word: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.write_all(word.as_bytes()).await;
        }
    });
    port
}

fn talk(port: u16) -> String {
    format!("exec 3<>/dev/tcp/127.0.0.1/{port} && head -c 5 <&3")
}

fn bash(mut spec: Spec) -> Spec {
    spec.program = "/bin/bash".into();
    spec
}

#[tokio::test]
async fn the_network_leads_to_what_is_granted() {
    if !can() {
        return;
    }
    let stage = Stage::new();
    let (granted, other) = (server("hello").await, server("wrong").await);
    let script = format!("({}) 2>/dev/null; ({}) 2>/dev/null; true", talk(granted), talk(other));
    let mut profile = Profile::worker([stage.work()]);
    let (_, said) = run(bash(stage.spec(profile.clone(), &script))).await;
    assert_eq!(said, "", "no network, nobody answers");
    profile.network = Network::Gateway {
        address: ([127, 0, 0, 1], granted).into(),
    };
    let (_, said) = run(bash(stage.spec(profile.clone(), &script))).await;
    assert_eq!(said, "hello");
    profile.network = Network::List {
        endpoints: vec![format!("localhost:{granted}").parse::<Endpoint>().unwrap()],
    };
    let (_, said) = run(bash(stage.spec(profile, &script))).await;
    assert_eq!(said, "hello");
}

#[tokio::test]
async fn the_proxy_knows_its_list() {
    if !can() {
        return;
    }
    let stage = Stage::new();
    let port = server("hello").await;
    let ask = |target: &str| {
        format!(
            "exec 3<>/dev/tcp/127.0.0.1/3128 && printf 'CONNECT {target} HTTP/1.1\\r\\n\\r\\n' >&3 && head -n 1 <&3"
        )
    };
    let mut profile = Profile::worker([stage.work()]);
    profile.network = Network::List {
        endpoints: vec!["api.example.invalid:443".parse().unwrap()],
    };
    for (target, status) in [
        ("other.example.invalid:443", "403"),
        ("api.example.invalid:80", "403"),
        (&format!("127.0.0.1:{port}"), "403"),
        ("api.example.invalid:443", "502"),
        ("nonsense", "400"),
    ] {
        let (_, said) = run(bash(stage.spec(profile.clone(), &ask(target)))).await;
        assert!(said.contains(status), "{target}: {said}");
    }
    let twice = format!("({0}); ({0}); true", ask("other.example.invalid:443"));
    let mut worker = Supervised::spawn(bash(stage.spec(profile.clone(), &twice))).unwrap();
    let said = crate::scene::output(&mut worker).await;
    worker.wait().await;
    let strangers: Vec<_> = worker.strangers().into_iter().map(|s| (s.host, s.rule)).collect();
    assert_eq!(
        strangers,
        [("other.example.invalid:443".to_owned(), "network.list")],
        "{said}"
    );
    assert!(worker.strangers().is_empty(), "each is told once");
    let (_, said) = run(stage.spec(profile, "echo $https_proxy")).await;
    assert_eq!(said, "http://127.0.0.1:3128\n");
}

#[tokio::test]
async fn a_profile_that_cannot_be_is_refused_with_a_hint() {
    let stage = Stage::new();
    let mut spec = stage.worker("true");
    if let Some(walls) = &mut spec.walls {
        walls.profile.read.push("/no/such/place".into());
    }
    let error = Supervised::spawn(spec).unwrap_err();
    assert!(matches!(error, SpawnError::Profile { .. }), "{error:?}");
    let said = chain(&error);
    assert!(said.contains("/no/such/place") && said.contains("create it"), "{said}");
}

#[tokio::test]
async fn it_ends_with_everything_it_started() {
    if !can() {
        return;
    }
    let stage = Stage::new();
    let token = crate::scene::unique_sleep();
    let mut worker = Supervised::spawn(stage.worker(&format!("setsid sleep {token} & echo up; wait"))).unwrap();
    let mut stdout = crate::scene::until_said(&mut worker, "up").await;
    worker.kill().await;
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(LONG, stdout.read_to_end(&mut rest)).await;
    crate::scene::eventually("the sleeper is gone", || crate::scene::alive_with(&token).is_empty()).await;
}
