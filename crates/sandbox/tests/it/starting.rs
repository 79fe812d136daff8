use std::os::fd::AsRawFd as _;

use maestria_sandbox::{SpawnError, Spec, Stdin, Supervised, Tier};
use tokio::io::AsyncWriteExt as _;

use crate::scene::{TIERS, output, shell, start};

#[tokio::test]
async fn environment_is_exactly_what_was_given() {
    for tier in TIERS {
        let mut spec = shell(tier, "exec env");
        spec.env.push(("COLOUR".into(), "blue".into()));
        spec.marker = Some("task-7".into());
        let mut worker = Supervised::spawn(spec).unwrap();
        let text = output(&mut worker).await;
        let mut names: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("PWD=") && !line.starts_with("_="))
            .collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["COLOUR=blue", "MAESTRIA_WORKER=task-7", "PATH=/usr/bin:/bin"],
            "{tier}"
        );
        assert!(worker.wait().await.is_zero());
    }
}

#[tokio::test]
async fn only_the_three_standard_descriptors_are_open() {
    // Without close-on-exec: what careless code elsewhere in the product might leave open.
    let careless = std::fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&careless, rustix::io::FdFlags::empty()).unwrap();
    assert!(careless.as_raw_fd() > 2);
    for tier in TIERS {
        // The shell's own listing sees 0, 1, 2 and the descriptor of the listing itself.
        let mut worker = start(tier, "exec ls /proc/self/fd");
        let text = output(&mut worker).await;
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>(),
            ["0", "1", "2", "3"],
            "{tier}"
        );
        worker.wait().await;
    }
}

#[tokio::test]
async fn stdin_is_null_unless_a_pipe_is_asked_for() {
    for tier in TIERS {
        let mut worker = start(tier, "readlink /proc/self/fd/0; cat; echo end");
        assert!(worker.take_stdin().is_none());
        assert_eq!(output(&mut worker).await, "/dev/null\nend\n", "{tier}");

        let mut spec = shell(tier, "cat; echo end");
        spec.stdin = Stdin::Pipe;
        let mut worker = Supervised::spawn(spec).unwrap();
        let mut stdin = worker.take_stdin().unwrap();
        stdin.write_all(b"hello\n").await.unwrap();
        drop(stdin);
        assert_eq!(
            output(&mut worker).await,
            "hello\nend\n",
            "{tier}: the guard keeps no copy of the pipe"
        );
    }
}

#[tokio::test]
async fn failure_to_execute_names_program_reason_and_remedy() {
    for tier in TIERS {
        let mut spec = Spec::new("/nowhere/agent", "/");
        spec.tier = Some(tier);
        let error = Supervised::spawn(spec).unwrap_err();
        let SpawnError::Exec { source, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        assert!(
            error.to_string().contains("/nowhere/agent") && error.to_string().contains("PATH"),
            "{error}"
        );

        let mut spec = Spec::new("/etc/passwd", "/");
        spec.tier = Some(tier);
        let error = Supervised::spawn(spec).unwrap_err();
        assert!(error.to_string().contains("executable"), "{error}");

        let mut spec = Spec::new("/bin/true", "/nowhere");
        spec.tier = Some(tier);
        assert!(matches!(Supervised::spawn(spec), Err(SpawnError::Cwd { .. })));
    }
}

#[tokio::test]
async fn a_missing_interpreter_is_told_from_a_missing_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("agent");
    std::fs::write(&script, "#!/nowhere/node\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    for tier in TIERS {
        let mut spec = Spec::new(&script, "/");
        spec.tier = Some(tier);
        let error = Supervised::spawn(spec).unwrap_err();
        assert!(error.to_string().contains("interpreter"), "{error}");
    }
}

#[tokio::test]
async fn worker_leads_a_session_without_terminal_and_with_default_signals() {
    for tier in TIERS {
        let mut worker = start(tier, "exec cat /proc/self/stat /proc/self/status");
        let text = output(&mut worker).await;
        let fields: Vec<&str> = text
            .lines()
            .next()
            .unwrap()
            .rsplit_once(") ")
            .unwrap()
            .1
            .split(' ')
            .collect();
        let pid = text.split(' ').next().unwrap();
        assert_eq!(
            (fields[2], fields[3], fields[4]),
            (pid, pid, "0"),
            "{tier}: group, session, terminal"
        );
        let status = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap()
                .trim()
                .to_owned()
        };
        assert_eq!(status("SigBlk:"), "0000000000000000", "{tier}");
        assert_eq!(status("SigIgn:"), "0000000000000000", "{tier}");
    }
}

#[tokio::test]
async fn ids_and_files_look_as_outside() {
    for tier in TIERS {
        let mut worker = start(tier, "id -u; stat -c %u /proc /etc/passwd; echo $$");
        let text = output(&mut worker).await;
        let me = rustix::process::geteuid().as_raw().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], me, "{tier}");
        if tier == maestria_sandbox::Tier::Namespace {
            assert_eq!(lines[3], "2", "the worker is the second process of its namespace");
        }
    }
}

#[tokio::test]
async fn proc_shows_the_worker_under_its_own_numbers() {
    // Numbers of the worker's namespace that are taken outside by somebody else, or by nobody.
    let script = "for i in $(seq 200); do /bin/true; done; sh -c 'echo $$ $(readlink /proc/self) $(test -d /proc/$$ && echo there)'";
    let mut worker = start(Tier::Namespace, script);
    let text = output(&mut worker).await;
    let words: Vec<&str> = text.split_whitespace().collect();
    let [own, link, there] = words.as_slice() else {
        panic!("{text}")
    };
    let near = |word: &str| word.parse::<i64>().unwrap();
    assert!((near(link) - near(own)).abs() < 10, "{text}");
    assert_eq!(*there, "there");
    worker.wait().await;
}
