//! A repository that wants to execute something: none of it runs.

use super::{Site, lines, write};
use maestria_agents::worktree::{commit_all, evidence};
use maestria_kernel::{ReviewId, port::Repository as _};
use std::{fs::Permissions, os::unix::fs::PermissionsExt as _, path::PathBuf};
use uuid::Uuid;

fn trap(site: &Site) -> (PathBuf, String) {
    let marks = site.root().join("marks");
    std::fs::create_dir_all(&marks).unwrap();
    let script = site.root().join("evil.sh");
    let text = format!("#!/bin/sh\necho \"$0 $*\" >> {}/ran\ncat\nexit 0\n", marks.display());
    write(&script, &text);
    std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    (marks.join("ran"), script.display().to_string())
}

fn arm(site: &Site, script: &str) {
    site.write(
        ".gitattributes",
        "*.txt filter=evil diff=evil merge=evil\n*.md filter=a=b\n*.late filter=late\n",
    );
    site.write("x.late", "late\n");
    site.git(&["add", "."]);
    site.git(&["commit", "-qm", "attributes"]);
    let hooks = site.repo().join(".git/hooks");
    for hook in [
        "pre-commit",
        "post-commit",
        "post-checkout",
        "post-merge",
        "reference-transaction",
        "post-index-change",
        "prepare-commit-msg",
        "commit-msg",
        "pre-merge-commit",
        "post-rewrite",
        "pre-auto-gc",
    ] {
        std::fs::create_dir_all(&hooks).unwrap();
        std::fs::copy(script, hooks.join(hook)).unwrap();
    }
    let late = site.root().join("late.config");
    write(
        &late,
        &format!("[filter \"late\"]\n\tsmudge = {script}\n\tclean = {script}\n"),
    );
    let include = format!("[includeIf \"onbranch:maestria/**\"]\n\tpath = {}\n", late.display());
    let config = site.repo().join(".git/config");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + &include).unwrap();
    for (name, value) in [
        ("core.fsmonitor", script),
        ("core.pager", script),
        ("core.editor", script),
        ("core.sshCommand", script),
        ("core.askPass", script),
        ("credential.helper", script),
        ("filter.evil.clean", script),
        ("filter.evil.smudge", script),
        ("filter.evil.process", script),
        ("filter.evil.required", "true"),
        ("filter.a=b.clean", script),
        ("filter.a=b.smudge", script),
        ("diff.evil.textconv", script),
        ("diff.evil.command", script),
        ("diff.external", script),
        ("merge.evil.driver", script),
        ("gpg.program", script),
        ("commit.gpgSign", "true"),
        ("log.showSignature", "true"),
        ("alias.status", &format!("!{script}")),
        ("trailer.x.command", script),
        ("protocol.file.allow", "always"),
        ("protocol.ext.allow", "always"),
        ("gc.auto", "1"),
        ("color.ui", "always"),
    ] {
        site.git(&["config", name, value]);
    }
}

/// A checked-out submodule with a monitor of its own.
fn arm_submodule(site: &Site, script: &str) {
    let other = site.root().join("other");
    std::fs::create_dir(&other).unwrap();
    site.git_in(&other, &["init", "-q", "-b", "main"]);
    write(&other.join("f"), "f\n");
    site.git_in(&other, &["add", "."]);
    site.git_in(&other, &["commit", "-qm", "sub"]);
    let url = other.display().to_string();
    site.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        &url,
        "sub",
    ]);
    site.git(&["commit", "-qm", "submodule"]);
    site.git_in(&site.repo().join("sub"), &["config", "core.fsmonitor", script]);
}

async fn whole_life(dirty: bool) {
    let mut site = Site::new();
    let (mark, script) = trap(&site);
    arm_submodule(&site, &script);
    arm(&site, &script);
    // The trap is real: the person's own git does run it, and may garble what it touches.
    let notes = lines(20) + "more\n";
    let index = std::fs::read(site.repo().join(".git/index")).unwrap();
    site.write("notes.txt", &notes);
    let _ = site.command(&site.repo(), &["add", "notes.txt"]).output();
    assert!(mark.exists(), "the trap does not work");
    std::fs::write(site.repo().join(".git/index"), index).unwrap();
    if !dirty {
        site.write("notes.txt", &lines(20));
    }
    let _ = std::fs::remove_file(&mark);
    let quiet = |step: &str| {
        let ran = std::fs::read_to_string(&mark).unwrap_or_default();
        assert_eq!(ran, "", "executed during {step}");
    };

    site.prepare().await;
    quiet("prepare");
    let tasks = site.plan(&["E1", "E2"]);
    let mut folders = Vec::new();
    for task in &tasks {
        folders.push(site.open(*task).await);
    }
    quiet("open");
    for (number, folder) in folders.iter().enumerate() {
        let text = std::fs::read_to_string(folder.join("notes.txt")).unwrap();
        write(
            &folder.join("notes.txt"),
            &text.replace(&format!("\n{}\n", 3 + 10 * number), "\nmine\n"),
        );
        write(&folder.join(format!("new{number}.late")), "x\n");
        commit_all(folder, "Work", &[]).await.unwrap().unwrap();
    }
    let base = site.run.ground.as_ref().unwrap().base.clone();
    assert_eq!(evidence(&folders[0], &base).await.unwrap().files.len(), 2);
    quiet("commit and evidence");
    let review = ReviewId::new(Uuid::now_v7());
    let (_, diff) = site.port.checkout(&site.run, review, Some(tasks[0])).await.unwrap();
    assert!(diff.contains("+mine") && !diff.contains('\u{1b}'), "{diff}");
    site.port.release(&site.run, review).await;
    quiet("checkout");
    for task in &tasks {
        super::merged(&site.merge(*task).await).expect("a commit");
    }
    quiet("merge");
    site.port.open(&site.run, tasks[0], true).await.unwrap();
    site.port.diff(&site.run, None).await.unwrap();
    quiet("onto and diff");
    let (_, how) = site.port.apply(&site.run).await.unwrap();
    assert_eq!(site.read("notes.txt").matches("mine").count(), 2, "{how}");
    quiet("apply");
    site.port.discard(&site.run).await.unwrap();
    quiet("discard");
}

#[tokio::test]
async fn a_hostile_repository_executes_nothing() {
    whole_life(false).await;
}

#[tokio::test]
async fn a_hostile_dirty_repository_executes_nothing() {
    whole_life(true).await;
}

#[tokio::test]
async fn a_work_tree_elsewhere_is_refused() {
    let mut site = Site::new();
    let elsewhere = site.root().join("home");
    write(&elsewhere.join("secret"), "x");
    site.git(&["config", "core.worktree", &elsewhere.display().to_string()]);
    let error = site.try_prepare().await.unwrap_err().to_string();
    assert!(error.contains("target") || error.contains("work tree"), "{error}");
}
