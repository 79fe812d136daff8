use super::*;

#[test]
fn stat_line_with_a_nasty_name_is_parsed() {
    let line =
        b"42 (a) R 7 (b) S 41 42 42 0 -1 4194560 1 2 3 4 100 20 30 4 20 0 1 0 98765 1000 55 18446744073709551615 1\n";
    let process = parse(42, line).unwrap();
    assert_eq!((process.parent, process.state, process.start), (41, b'S', 98765));
    assert_eq!((process.ticks, process.reaped_ticks, process.resident), (120, 34, 55));
}

#[test]
fn numbers_must_end_where_the_name_ends() {
    assert_eq!(number(b"123\0"), Some(123));
    assert_eq!(number(b"123 "), Some(123));
    assert_eq!(number(b"12a\0"), None);
    assert_eq!(number(b"self\0"), None);
}

#[test]
fn own_child_is_a_descendant_and_the_test_itself_is_not() {
    let mut child = std::process::Command::new("/bin/sleep")
        .arg("30")
        .env_clear()
        .spawn()
        .unwrap();
    let me = std::process::id() as c_int;
    let mut table = Table::new().unwrap();
    let pids: Vec<_> = table.descendants(me).iter().map(|process| process.pid).collect();
    assert!(pids.contains(&(child.id() as c_int)));
    assert!(!pids.contains(&me));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !table
            .descendants(me)
            .iter()
            .any(|process| process.pid == child.id() as c_int)
    );
}

#[test]
fn stat_paths_are_spelled_exactly() {
    let mut buffer = [0; 32];
    assert_eq!(stat_path(&mut buffer, 4_194_304).unwrap(), c"/proc/4194304/stat");
    let mut buffer = [0; 32];
    assert_eq!(stat_path(&mut buffer, 1).unwrap(), c"/proc/1/stat");
}
