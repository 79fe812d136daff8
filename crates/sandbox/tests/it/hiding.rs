//! What a worker is not to see: nothing stands there instead, which it can neither change nor move away.

use maestria_sandbox::{Layer, Layers, Limits, Profile, SpawnError, Spec, Supervised, Tier, Walls};
use std::{
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

/// Every way to reach what is hidden, each with what it comes to.
const TRIES: &str = r#"
cat .mcp.json
cat .env
ls -A .claude
cat .claude/settings.json
echo mine > .env
echo mine > .claude/settings.json && cat .claude/settings.json
rm -rf .claude .env .mcp.json
mv .claude elsewhere
mv sub renamed
ln .env copy
cat sub/.env
find . -name '*.json' -exec cat {} +
umount .env
cat readme
"#;

struct Project {
    _folder: tempfile::TempDir,
    work: PathBuf,
}

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().canonicalize().unwrap().join("work");
        for name in [".claude/hooks", "sub"] {
            std::fs::create_dir_all(work.join(name)).unwrap();
        }
        for (file, text) in [
            (".mcp.json", "SECRET servers"),
            (".env", "SECRET=environment"),
            (".claude/settings.json", "SECRET hooks"),
            ("sub/.env", "SECRET=sub"),
            ("readme", "plain\n"),
        ] {
            std::fs::write(work.join(file), text).unwrap();
            std::fs::set_permissions(work.join(file), std::fs::Permissions::from_mode(0o644)).unwrap();
        }
        Self { _folder: folder, work }
    }

    fn profile(&self) -> Profile {
        let mut profile = Profile::worker([self.work.clone()]);
        profile.hidden = [".mcp.json", ".env", ".claude", "sub/.env", "not-there"]
            .map(|name| self.work.join(name))
            .to_vec();
        profile
    }

    fn spec(&self, profile: Profile, script: &str) -> Spec {
        let mut spec = Spec::new("/bin/sh", &self.work);
        spec.args = vec!["-c".into(), format!("exec 2>&1\n{script}").into()];
        spec.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
        spec.limits = Limits::none();
        spec.walls = Some(Walls::new(profile));
        spec
    }
}

fn can() -> bool {
    Tier::best() == Tier::Namespace
}

fn text(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[tokio::test]
async fn what_is_hidden_is_neither_seen_nor_changed() {
    if !can() {
        return;
    }
    let project = Project::new();
    // The very same tries, when nothing is hidden, do find and change it: the test can fail.
    let open = Project::new();
    let mut bare = open.profile();
    bare.hidden.clear();
    let mut worker = Supervised::spawn(open.spec(bare, TRIES)).unwrap();
    let seen = crate::scene::output(&mut worker).await;
    worker.wait().await;
    assert!(
        seen.contains("SECRET hooks") && !open.work.join(".claude").exists(),
        "{seen}"
    );

    let mut worker = Supervised::spawn(project.spec(project.profile(), TRIES)).unwrap();
    let said = crate::scene::output(&mut worker).await;
    worker.wait().await;
    assert!(!said.contains("SECRET"), "{said}");
    assert!(said.contains("{}"), "a reader of JSON finds an empty object: {said}");
    assert!(said.contains("plain"), "the rest is there: {said}");
    assert!(
        said.contains("mine"),
        "a folder that is hidden can be written to: {said}"
    );
    for (file, content) in [
        (".mcp.json", "SECRET servers"),
        (".env", "SECRET=environment"),
        (".claude/settings.json", "SECRET hooks"),
    ] {
        assert_eq!(text(&project.work, file), content, "{said}");
    }
}

#[tokio::test]
async fn where_it_cannot_be_hidden_nothing_starts() {
    if !can() {
        return;
    }
    let project = Project::new();
    let refused = |profile: Profile, removed: &[Layer]| {
        let mut spec = project.spec(profile, "touch started");
        if let Some(walls) = &mut spec.walls {
            walls.allow_degraded = true;
            walls.removed = Layers::of(removed);
        }
        let error = Supervised::spawn(spec).expect_err("it was started");
        assert!(matches!(error, SpawnError::Profile { .. }), "{error:?}");
        assert!(!project.work.join("started").exists());
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", cause.unwrap_or_default())
    };
    let said = refused(project.profile(), &[Layer::Mounts]);
    assert!(said.contains(".mcp.json"), "{said}");
    symlink("sub", project.work.join(".codex")).unwrap();
    let mut linked = project.profile();
    linked.hidden.push(project.work.join(".codex"));
    let said = refused(linked, &[]);
    assert!(said.contains(".codex") && said.contains("link"), "{said}");
}

/// What a link leads to is hidden with it, and what it cannot show needs no hiding.
#[tokio::test]
async fn a_hidden_link_shows_nothing() {
    if !can() {
        return;
    }
    let project = Project::new();
    std::fs::write(project.work.join("sub/servers"), "the servers").unwrap();
    for (at, to) in [
        (".codex", "sub/servers"),
        (".gemini", ".claude"),
        (".qwen", "nowhere"),
        (".amp", "/etc/hostname"),
    ] {
        symlink(to, project.work.join(at)).unwrap();
    }
    let mut profile = project.profile();
    let links = [".codex", ".gemini", ".qwen", ".amp"];
    profile.hidden.extend(links.map(|link| project.work.join(link)));
    let script = "wc -c < .codex; wc -c < sub/servers; ls -A .gemini/; cat .qwen 2> /dev/null || echo none; rm -f readme; echo end";
    let mut worker = Supervised::spawn(project.spec(profile, script)).unwrap();
    let said = crate::scene::output(&mut worker).await;
    worker.wait().await;
    assert_eq!(said, "0\n0\nnone\nend\n");
    assert_eq!(text(&project.work, "sub/servers"), "the servers");
}

/// A reviewer may change nothing, and yet an agent must be able to begin.
#[tokio::test]
async fn a_reviewers_hidden_folder_is_its_own_too() {
    if !can() {
        return;
    }
    let project = Project::new();
    let mut profile = Profile::review([project.work.clone()]);
    profile.hidden = vec![project.work.join(".claude")];
    let script = "ls -A .claude; echo mine > .claude/x && cat .claude/x; echo no > readme";
    let mut worker = Supervised::spawn(project.spec(profile, script)).unwrap();
    let said = crate::scene::output(&mut worker).await;
    worker.wait().await;
    assert!(said.starts_with("mine\n"), "{said}");
    assert_eq!(text(&project.work, "readme"), "plain\n");
    assert!(!project.work.join(".claude/x").exists());
}
