use super::Playbook;
use crate::wire::{Answer, Ask, Stop, ask::Part};
use maestria_kernel::model::Speaker;
use serde_json::json;

const SCRIPT: &str = r#"
[[rule]]
when = ["greet.sh", "a reviewer asks"]
steps = [{ call = "write_file", with = { path = "greet.sh" } }, { text = "Done." }]
[[rule]]
when = ["greet.sh"]
steps = [{ call = "read_file" }, { call = "list_files" }]
[[rule]]
when = ["a plan"]
steps = [{ json = '{"summary": "s"}' }]
"#;

fn ask(turns: &[(Speaker, Part)]) -> Ask {
    let mut ask = Ask::default();
    for (speaker, part) in turns {
        ask.say(*speaker, [part.clone()]);
    }
    ask
}

fn said(text: &str) -> (Speaker, Part) {
    (Speaker::User, Part::text(text))
}

fn result() -> (Speaker, Part) {
    let part = Part::Result {
        id: "call_0".to_owned(),
        name: "read_file".to_owned(),
        // What a tool answers must not choose a rule.
        parts: vec![Part::text("a reviewer asks")],
        failed: false,
        cached: false,
    };
    (Speaker::User, part)
}

fn play(turns: &[(Speaker, Part)]) -> Answer {
    let playbook = Playbook::parse("p", SCRIPT).unwrap();
    let mut answer = Answer::default();
    playbook
        .answer(&ask(turns))
        .unwrap()
        .into_iter()
        .for_each(|piece| answer.add(piece));
    answer.close();
    answer
}

fn called(answer: &Answer) -> Option<&str> {
    answer.parts.iter().find_map(|part| match part {
        Part::Call { name, .. } => Some(name.as_str()),
        _ => None,
    })
}

#[test]
fn the_first_rule_whose_words_all_occur_answers() {
    let both = play(&[said("make greet.sh"), said("a reviewer asks for changes")]);
    assert_eq!(called(&both), Some("write_file"));
    let Some(Part::Call { arguments, .. }) = both.parts.first() else {
        panic!("{both:?}")
    };
    assert_eq!(arguments, &json!({"path": "greet.sh"}));
    assert_eq!(both.stop, Some(Stop::Tools));
    assert_eq!(called(&play(&[said("make greet.sh"), result()])), Some("list_files"));
    assert_eq!(
        play(&[said("a plan, please")]).parts,
        [Part::text("{\"summary\": \"s\"}")]
    );
}

#[test]
fn steps_are_counted_by_the_answers_since_the_last_text() {
    assert_eq!(called(&play(&[said("greet.sh")])), Some("read_file"));
    assert_eq!(
        called(&play(&[said("greet.sh"), result(), said("again")])),
        Some("read_file")
    );
    let over = play(&[said("greet.sh"), result(), result()]);
    assert_eq!((over.parts, over.stop), (vec![Part::text("Done.")], Some(Stop::End)));
}

#[test]
fn a_prompt_without_a_rule_is_named() {
    let playbook = Playbook::parse("p", SCRIPT).unwrap();
    let failure = playbook.answer(&ask(&[said("something else")])).unwrap_err();
    assert!(failure.fault.message.contains("something else"), "{failure:?}");
    assert!(!failure.can_be_tried_again());
}

#[test]
fn scripts_with_mistakes_are_refused() {
    let table = [
        ("[[rule]]\nwhen = []\nsteps = []\n", "rule 1"),
        (
            "[[rule]]\nwhen = []\nsteps = [{ text = \"a\", call = \"b\" }]\n",
            "exactly one of",
        ),
        ("[[rule]]\nwhen = []\nstep = []\n", "unknown field"),
        ("[[rule]\n", "line 1"),
    ];
    for (script, what) in table {
        let error = Playbook::parse("p", script).map(|_| ()).unwrap_err();
        assert!(error.contains(what), "{script}: {error}");
    }
}
