use super::*;

#[test]
fn version_1_mounts_meet_their_groups() {
    let mounts = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
                  35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                  36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n\
                  23 1 0:5 / /proc rw - proc proc rw\n";
    let groups = "4:memory:/user/one\n2:cpu,cpuacct:/\n0::/\n";
    let found = find(mounts, groups);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0].dir, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
    assert_eq!(found[0].controllers, ["cpu", "cpuacct"]);
    assert_eq!(found[1].dir, Path::new("/sys/fs/cgroup/memory/user/one"));
}

#[test]
fn a_container_sees_its_group_as_the_root_of_the_mount() {
    let mounts = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    let found = find(mounts, "4:memory:/docker/abc/inner\n");
    assert_eq!(found[0].dir, Path::new("/sys/fs/cgroup/memory/inner"));
    assert!(find(mounts, "4:memory:/elsewhere\n").is_empty());
}

#[test]
fn unified_mount_is_recognised() {
    let found = find(
        "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n",
        "0::/user.slice/app.scope\n",
    );
    assert_eq!(found[0].backend, Backend::CgroupV2);
    assert_eq!(found[0].dir, Path::new("/sys/fs/cgroup/user.slice/app.scope"));
}

/// The spelling of version 2 limits, on plain files: this checks what is written, not what a kernel does with it.
#[test]
fn version_2_limits_are_spelled_for_the_kernel() {
    let dir = tempfile::tempdir().unwrap();
    let group = Group {
        backend: Backend::CgroupV2,
        controllers: vec!["memory".into(), "cpu".into(), "pids".into()],
        dir: dir.path().to_path_buf(),
    };
    let mut enforced = Enforced::default();
    let limits = Limits {
        cpu_percent: Some(150),
        ..Limits::default()
    };
    group.apply(&limits, &mut enforced);
    let read = |file: &str| fs::read_to_string(dir.path().join(file)).unwrap();
    assert_eq!(read("memory.max"), "2147483648");
    assert_eq!(read("memory.swap.max"), "0");
    assert_eq!(read("memory.oom.group"), "1");
    assert_eq!(read("cpu.max"), "1500000 1000000");
    assert_eq!(read("pids.max"), "512");
    assert_eq!(enforced.memory, Some(Backend::CgroupV2));
    fs::write(
        dir.path().join("memory.events"),
        "low 0\noom 4\noom_kill 3\noom_group_kill 1\n",
    )
    .unwrap();
    assert_eq!(group.keyed("memory.events", "oom_kill"), Some(3));
}

#[test]
fn only_empty_groups_of_dead_products_are_swept() {
    let dir = tempfile::tempdir().unwrap();
    let mine = format!("maestria-{}-0", std::process::id());
    for name in ["maestria-4294967294-0", &mine, "other-4294967294-0", "maestria-x-1"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    sweep(dir.path());
    let left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(!dir.path().join("maestria-4294967294-0").exists());
}
