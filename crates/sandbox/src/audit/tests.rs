use super::{Audit, Broken, Record, fingerprint};
use std::{fs, io, thread};

fn record(number: u64) -> Record {
    Record {
        at: 1,
        number,
        run: "run_1".to_owned(),
        who: "somebody".to_owned(),
        what: format!("thing {number}"),
        argv_sha256: Some(fingerprint("git push")),
        ..Record::default()
    }
}

/// A trail of five entries.
fn trail() -> (tempfile::TempDir, Audit) {
    let folder = tempfile::tempdir().unwrap();
    let audit = Audit::at(folder.path().join("audit"));
    audit.append(&[record(1), record(2)], 2).unwrap();
    audit.append(&[record(4)], 4).unwrap();
    audit.append(&[record(5), record(6)], 9).unwrap();
    (folder, audit)
}

/// The trail as it is exported.
fn lines(audit: &Audit) -> Vec<String> {
    let text = io::read_to_string(audit.export().unwrap().unwrap()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_was_written_is_believed() {
    let (_folder, audit) = trail();
    assert_eq!(audit.verify().unwrap().entries, 5);
    assert_eq!(audit.number().unwrap(), 9);
    assert_eq!(lines(&audit).len(), 5);
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(audit.trail()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn nothing_is_written_twice() {
    let (_folder, audit) = trail();
    audit.append(&[record(5), record(6), record(10)], 10).unwrap();
    assert_eq!(audit.verify().unwrap().entries, 6);
}

#[test]
fn what_is_no_event_has_its_place_and_moves_nothing_on() {
    let (folder, audit) = trail();
    audit.note(record(77)).unwrap();
    assert_eq!((audit.verify().unwrap().entries, audit.number().unwrap()), (6, 9));
    audit.append(&[record(9), record(10)], 10).unwrap();
    assert_eq!((audit.verify().unwrap().entries, audit.number().unwrap()), (7, 10));
    let first = Audit::at(folder.path().join("first"));
    first.note(record(3)).unwrap();
    assert_eq!((first.verify().unwrap().entries, first.number().unwrap()), (1, 0));
    first.append(&[record(1)], 1).unwrap();
    assert_eq!(first.verify().unwrap().entries, 2);
}

#[test]
fn no_trail_is_a_whole_trail() {
    let folder = tempfile::tempdir().unwrap();
    let none = Audit::at(folder.path().join("none"));
    assert_eq!(none.verify().unwrap().entries, 0);
    assert!(none.export().unwrap().is_none());
}

#[test]
fn every_flipped_bit_is_found() {
    let (_folder, audit) = trail();
    let text = fs::read(audit.trail()).unwrap();
    for at in 0..text.len() {
        let mut flipped = text.clone();
        flipped[at] ^= 1;
        fs::write(audit.trail(), &flipped).unwrap();
        assert!(audit.verify().is_err(), "bit of byte {at}");
    }
    fs::write(audit.trail(), &text).unwrap();
    assert!(audit.verify().is_ok());
}

#[test]
fn every_dropped_moved_or_cut_line_is_found() {
    let (_folder, audit) = trail();
    let lines = lines(&audit);
    let write = |lines: &[String]| {
        fs::write(
            audit.trail(),
            lines.iter().map(|l| format!("{l}\n")).collect::<String>(),
        )
        .unwrap()
    };
    for gone in 0..lines.len() {
        let mut rest = lines.clone();
        rest.remove(gone);
        write(&rest);
        assert!(audit.verify().is_err(), "line {gone} dropped");
    }
    for moved in 1..lines.len() {
        let mut swapped = lines.clone();
        swapped.swap(moved - 1, moved);
        write(&swapped);
        assert!(
            matches!(audit.verify(), Err(Broken::OutOfOrder { .. })),
            "line {moved} moved"
        );
    }
    for kept in 0..lines.len() {
        write(&lines[..kept]);
        assert!(matches!(audit.verify(), Err(Broken::Cut { .. })), "cut after {kept}");
        assert!(
            audit.append(&[record(20)], 20).is_err(),
            "a cut trail is not gone on with"
        );
    }
    let mut doubled = lines.clone();
    doubled.push(lines[4].clone());
    write(&doubled);
    assert!(audit.verify().is_err(), "a line said twice");
}

#[test]
fn the_head_cannot_be_exchanged() {
    let (_folder, audit) = trail();
    let head = fs::read_to_string(audit.head_path()).unwrap();
    fs::write(audit.head_path(), head.replace("\"seq\":5", "\"seq\":4")).unwrap();
    assert!(matches!(audit.verify(), Err(Broken::Head { .. })));
    fs::remove_file(audit.head_path()).unwrap();
    assert!(audit.verify().is_err());
    fs::write(audit.head_path(), &head).unwrap();
    fs::remove_file(audit.trail()).unwrap();
    assert!(matches!(audit.verify(), Err(Broken::Head { .. })));
}

#[test]
fn a_crash_between_trail_and_head_loses_nothing() {
    let (_folder, audit) = trail();
    let before = fs::read(audit.head_path()).unwrap();
    audit.append(&[record(10)], 10).unwrap();
    fs::write(audit.head_path(), before).unwrap();
    assert_eq!(
        audit.verify().unwrap().entries,
        6,
        "what is newer than the head is sealed all the same"
    );
    let whole = fs::read_to_string(audit.trail()).unwrap();
    fs::write(audit.trail(), format!("{whole}{{\"entry\":{{\"seq\"")).unwrap();
    audit.append(&[record(11)], 11).unwrap();
    assert_eq!(audit.verify().unwrap().entries, 7);
}

#[test]
fn lines_are_read_from_the_end_and_from_any_of_them_on() {
    let (_folder, audit) = trail();
    // Longer than what is read at once, with lines across its borders.
    for number in 10..1000 {
        audit.append(&[record(number)], number).unwrap();
    }
    let mut expected = lines(&audit);
    expected.reverse();
    let all: Vec<(u64, String)> = audit.backwards(u64::MAX).unwrap().map(Result::unwrap).collect();
    let lines: Vec<&String> = all.iter().map(|(_, line)| line).collect();
    assert_eq!(lines, expected.iter().collect::<Vec<_>>());
    for at in [0, 1, 500, all.len() - 2] {
        let next = audit.backwards(all[at].0).unwrap().next().unwrap().unwrap();
        assert_eq!(next, all[at + 1]);
    }
    assert_eq!(all.last().unwrap().0, 0);
    assert!(audit.backwards(0).unwrap().next().is_none());
}

/// Neither a whole line too few nor half a one, however often somebody looks.
#[test]
fn a_trail_that_grows_is_whole_at_each_moment() {
    let (_folder, audit) = trail();
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for number in 10..400 {
                audit.append(&[record(number), record(number + 1000)], number).unwrap();
            }
        });
        while !writing.is_finished() {
            audit.verify().unwrap();
            let text = io::read_to_string(audit.export().unwrap().unwrap()).unwrap();
            assert!(text.ends_with('\n'));
        }
    });
    assert_eq!(audit.verify().unwrap().entries, 5 + 2 * 390);
}

#[test]
fn a_line_without_end_is_not_read_to_its_end() {
    let (_folder, audit) = trail();
    let whole = fs::read(audit.trail()).unwrap();
    for (more, why) in [
        (vec![b'x'; 17 << 20], "it is longer than any entry"),
        (b"{\"entry\"".to_vec(), "it ends in the middle"),
        (b"\xff\n".to_vec(), "it is not text any more"),
    ] {
        fs::write(audit.trail(), [&whole[..], &more].concat()).unwrap();
        let expected = Broken::Changed {
            line: 6,
            why: why.to_owned(),
        };
        assert_eq!(audit.verify(), Err(expected));
    }
}

#[test]
fn of_a_torn_line_and_of_no_trail_nothing_is_lost() {
    let (folder, audit) = trail();
    let whole = fs::read_to_string(audit.trail()).unwrap();
    fs::write(audit.trail(), format!("{whole}{{\"entry\"")).unwrap();
    let lines: Vec<String> = audit.backwards(u64::MAX).unwrap().map(|line| line.unwrap().1).collect();
    assert_eq!((lines.len(), lines[0].as_str()), (6, "{\"entry\""));
    assert!(
        Audit::at(folder.path().join("none"))
            .backwards(u64::MAX)
            .unwrap()
            .next()
            .is_none()
    );
}
