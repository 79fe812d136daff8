use super::keep;
use maestria_kernel::permission::Lasting;
use maestria_sandbox::policy::CommandPolicy;
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, thread};

fn lasting(file: &Path, command: &str) -> Lasting {
    let (id, rule) = CommandPolicy::built_in()
        .lasting(command, Path::new("/src/app"))
        .unwrap();
    Lasting {
        file: file.display().to_string(),
        id,
        rule,
    }
}

#[test]
fn a_rule_is_written_once_into_a_file_for_the_person_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/policy.toml");
    let push = lasting(&file, "git push");
    keep(&push).unwrap();
    keep(&push).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), push.rule);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn a_file_that_cannot_be_used_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    fs::write(&file, "[[command]\n").unwrap();
    let told = keep(&lasting(&file, "git push")).unwrap_err();
    assert!(told.contains("policy.toml") && told.contains("mend"), "{told}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "[[command]\n");
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    let commands: Vec<String> = (0..8).map(|n| format!("git push origin b{n}")).collect();
    thread::scope(|scope| {
        for command in &commands {
            scope.spawn(|| keep(&lasting(&file, command)).unwrap());
        }
    });
    let policy = CommandPolicy::in_force(Some(&file), Some(Path::new("/src/app"))).unwrap();
    for command in &commands {
        assert!(policy.judge(command).rule.starts_with("always."), "{command}");
    }
}
