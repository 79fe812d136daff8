//! Steps, rules, schemas: everything that needs no socket.

use serde_json::{Value, json};

use super::answer::{Answer, Input, Part, pieces};
use super::*;

const WRITE: &str = r#"{"write":{"path":"a/b.txt","content":"x\n"}}"#;

fn tool(name: &str, properties: &[&str]) -> Tool {
    let fields: serde_json::Map<_, _> = properties
        .iter()
        .map(|name| ((*name).to_owned(), json!({"type": "string"})))
        .collect();
    Tool {
        name: name.into(),
        parameters: Some(json!({"type": "object", "properties": fields, "required": properties})),
    }
}

fn ask(prompt: &str, tools: Vec<Tool>) -> Ask {
    let turn = Turn {
        user: true,
        text: prompt.into(),
        results: 0,
    };
    Ask {
        dialect: Dialect::Chat,
        model: "m".into(),
        stream: false,
        system: String::new(),
        turns: vec![turn],
        tools,
        schema: None,
        forced: None,
        size: 100,
    }
}

fn answered(mut ask: Ask, results: usize) -> Ask {
    for _ in 0..results {
        ask.turns.push(Turn::default());
        ask.turns.push(Turn {
            user: true,
            text: String::new(),
            results: 1,
        });
    }
    ask
}

fn call(book: &Book, ask: &Ask) -> (String, Value) {
    match book.reply(ask).answer.parts.as_slice() {
        [
            Part::Call {
                name,
                input: Input::Json(input),
            },
        ] => (name.clone(), input.clone()),
        [
            Part::Call {
                name,
                input: Input::Free(text),
            },
        ] => (name.clone(), json!(text)),
        other => panic!("not one call: {other:?}"),
    }
}

fn said(book: &Book, ask: &Ask) -> String {
    match book.reply(ask).answer.parts.as_slice() {
        [Part::Text(text)] => text.clone(),
        other => panic!("not one text: {other:?}"),
    }
}

#[test]
fn a_write_becomes_a_call_of_the_declared_tool() {
    let prompt = format!(r#"do it @script {{"steps":[{WRITE}]}} and be quick"#);
    let patch = "*** Begin Patch\n*** Add File: a/b.txt\n+x\n*** End Patch\n";
    let command = r"mkdir -p 'a' && printf %s 'x
' > 'a/b.txt'";
    let table = [
        (
            tool("Write", &["file_path", "content"]),
            json!({"file_path": "a/b.txt", "content": "x\n"}),
        ),
        (
            tool("write", &["filePath", "content"]),
            json!({"filePath": "a/b.txt", "content": "x\n"}),
        ),
        (
            tool("write_file", &["path", "content"]),
            json!({"path": "a/b.txt", "content": "x\n"}),
        ),
        (
            Tool {
                name: "apply_patch".into(),
                parameters: None,
            },
            json!(patch),
        ),
        (tool("apply_patch", &["patch"]), json!({"patch": patch})),
        (tool("exec_command", &["cmd"]), json!({"cmd": command})),
        (
            tool("bash", &["command", "description"]),
            json!({"command": command, "description": "scripted"}),
        ),
    ];
    for (tool, input) in table {
        let name = tool.name.clone();
        assert_eq!(call(&Book::default(), &ask(&prompt, vec![tool])), (name, input));
    }
}

#[test]
fn the_step_is_the_number_of_results_after_the_last_directive() {
    let prompt = format!(r#"@script {{"steps":[{WRITE},{{"shell":"ls"}},{{"text":"over"}}]}}"#);
    let tools = vec![tool("Write", &["file_path", "content"]), tool("Bash", &["command"])];
    let book = Book::default();
    let at = |results| answered(ask(&prompt, tools.clone()), results);
    assert_eq!(call(&book, &at(0)).0, "Write");
    assert_eq!(call(&book, &at(1)), ("Bash".into(), json!({"command": "ls"})));
    assert_eq!(said(&book, &at(2)), "over");
    assert_eq!(said(&book, &at(5)), "over", "a closing text is repeated");
    let mut next = at(2);
    next.turns.push(Turn {
        user: true,
        text: r#"@script {"steps":[{"text":"new"}]}"#.into(),
        results: 0,
    });
    assert_eq!(said(&book, &next), "new");
    next.turns.push(Turn {
        user: true,
        text: "plain".into(),
        results: 0,
    });
    assert_eq!(
        said(&book, &next),
        "new",
        "a later message without a directive changes nothing"
    );
}

#[test]
fn several_calls_in_one_answer_count_as_several_results() {
    let prompt = format!(r#"@script {{"steps":[{{"all":[{WRITE},{{"shell":"ls"}}]}},{{"text":"over"}}]}}"#);
    let both = ask(
        &prompt,
        vec![tool("Write", &["file_path", "content"]), tool("Bash", &["command"])],
    );
    let book = Book::default();
    assert_eq!(book.reply(&both).answer.parts.len(), 2);
    assert_eq!(said(&book, &answered(both, 2)), "over");
}

#[test]
fn a_script_that_cannot_be_read_or_done_says_so() {
    let book = Book::default();
    assert!(said(&book, &ask(r#"@script {"steps":[{"wriet":{}}]}"#, vec![])).contains("wriet"));
    let impossible = format!(r#"@script {{"steps":[{WRITE}]}}"#);
    assert!(said(&book, &ask(&impossible, vec![tool("look", &[])])).contains("no declared tool fits"));
    assert_eq!(
        said(&book, &ask("write to me@script.example", vec![])),
        "ok",
        "not a directive"
    );
}

#[test]
fn side_requests_get_something_harmless_and_consume_no_fault() {
    let prompt = format!(r#"@script {{"steps":[{WRITE}],"faults":[{{"kind":"status","status":429}}]}}"#);
    let book = Book::default();
    let mut side = ask(&prompt, vec![]);
    assert_eq!(said(&book, &side), "ok");
    side.schema = Some(json!({"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}));
    assert_eq!(said(&book, &side), r#"{"title":"scripted"}"#);
    let main = ask(&prompt, vec![tool("Write", &["file_path", "content"])]);
    assert!(matches!(
        book.reply(&main).fault,
        Some(FaultKind::Status { status: 429, .. })
    ));
    assert_eq!(book.reply(&main).fault, None, "once means once");
}

#[test]
fn faults_keep_to_their_step_and_their_times() {
    let prompt = format!(
        r#"@script {{"steps":[{WRITE},{{"text":"over"}}],"faults":[{{"kind":"cut","after":1,"at":1,"times":2}},{{"kind":"no_usage","times":"forever"}}]}}"#
    );
    let first = ask(&prompt, vec![tool("Write", &["file_path", "content"])]);
    let second = answered(first.clone(), 1);
    let book = Book::default();
    let fault = |ask: &Ask| book.reply(ask).fault;
    assert_eq!(fault(&first), Some(FaultKind::NoUsage));
    assert_eq!(fault(&second), Some(FaultKind::Cut { after: 1 }));
    assert_eq!(fault(&second), Some(FaultKind::Cut { after: 1 }));
    assert_eq!(fault(&second), Some(FaultKind::NoUsage));
    assert_eq!(fault(&first), Some(FaultKind::NoUsage));
}

#[test]
fn rules_come_in_order_and_serve_so_many_conversations() {
    let rules = r#"[
        {"match":"You plan","schema":true,"steps":[{"json":{"tasks":["a"]}}]},
        {"match":"review","times":1,"steps":[{"shell":"git diff"},{"text":"rework"}]},
        {"match":"review","steps":[{"text":"approved"}]}]"#;
    let mut book = Book::default();
    book.rules(Rule::list(rules).unwrap());
    let mut plan = ask("please", vec![]);
    plan.system = "You plan things".into();
    assert_eq!(said(&book, &plan), "ok", "no schema, no rule");
    plan.schema = Some(json!({"type": "object"}));
    assert_eq!(said(&book, &plan), r#"{"tasks":["a"]}"#);

    let review = |number: u32| ask(&format!("review {number}"), vec![tool("Bash", &["command"])]);
    assert_eq!(call(&book, &review(1)).1, json!({"command": "git diff"}));
    assert_eq!(said(&book, &review(2)), "approved");
    assert_eq!(
        said(&book, &answered(review(1), 1)),
        "rework",
        "the first conversation goes on with its rule"
    );
}

#[test]
fn a_rule_is_not_used_up_by_a_fault_in_its_place() {
    let mut book = Book::default();
    let once = Script::of([Step::Text("first".into())]).fault(Fault::once(FaultKind::Status {
        status: 529,
        retry_after: None,
        message: None,
    }));
    book.rules([
        Rule::on("hello", once).times(1),
        Rule::always(Script::of([Step::Text("second".into())])),
    ]);
    let hello = ask("hello", vec![]);
    assert!(book.reply(&hello).fault.is_some());
    assert_eq!(said(&book, &hello), "first");
    assert_eq!(said(&book, &hello), "second");
}

#[test]
fn a_closure_comes_before_rules_and_directives() {
    let mut book = Book::default();
    book.rules([Rule::always(Script::of([Step::Text("rule".into())]))]);
    book.script(|ask| (ask.model == "special").then(|| Script::of([Step::Text("closure".into())])));
    let mut special = ask("x", vec![]);
    assert_eq!(said(&book, &special), "rule");
    special.model = "special".into();
    assert_eq!(said(&book, &special), "closure");
}

#[test]
fn structured_output_goes_where_it_is_wanted() {
    let prompt = r#"@script {"steps":[{"json":{"verdict":"ok"}}]}"#;
    assert_eq!(said(&Book::default(), &ask(prompt, vec![])), r#"{"verdict":"ok"}"#);
    let claude = ask(prompt, vec![tool("StructuredOutput", &["verdict"])]);
    assert_eq!(
        call(&Book::default(), &claude),
        ("StructuredOutput".into(), json!({"verdict": "ok"}))
    );
    let mut forced = ask("plain", vec![tool("answer", &["verdict"])]);
    forced.forced = Some("answer".into());
    assert_eq!(
        call(&Book::default(), &forced),
        ("answer".into(), json!({"verdict": "scripted"}))
    );
}

#[test]
fn a_minimal_value_fits_its_schema() {
    let table = [
        (
            json!({"type": "OBJECT", "properties": {"n": {"type": "INTEGER", "minimum": 3}}, "required": ["n"]}),
            json!({"n": 3}),
        ),
        (
            json!({"type": ["null", "string"], "minLength": 10}),
            json!("scriptedxx"),
        ),
        (json!({"type": "string", "maxLength": 3}), json!("scr")),
        (json!({"enum": ["b", "a"]}), json!("b")),
        (
            json!({"type": "array", "items": {"type": "boolean"}, "minItems": 2}),
            json!([false, false]),
        ),
        (
            json!({"anyOf": [{"$ref": "#/$defs/one"}], "$defs": {"one": {"const": 1}}}),
            json!(1),
        ),
        (
            json!({"allOf": [{"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]}]}),
            json!({"a": null}),
        ),
        (json!({"$ref": "#"}), Value::Null),
    ];
    for (schema, value) in table {
        assert_eq!(schema::minimal(&schema), value, "{schema}");
    }
}

#[test]
fn broken_arguments_do_not_parse_and_pieces_lose_nothing() {
    let mut answer = Answer::text("x");
    answer.bad_tool_json = true;
    assert!(serde_json::from_str::<Value>(&answer.arguments(&json!({"a": 1}))).is_err());
    assert!(serde_json::from_str::<Value>(&answer.arguments(&json!({}))).is_err());
    for text in ["", "a", "über€uro", "€€"] {
        assert_eq!(pieces(text).concat(), text);
    }
}

#[test]
fn a_script_survives_the_way_through_a_prompt() {
    let script = Script::of([
        Step::Write {
            path: "a".into(),
            content: "\"\n\\".into(),
        },
        Step::Json(json!([1])),
    ])
    .fault(Fault::forever(FaultKind::Silence { ms: Some(5) }));
    let prompt = format!("before {} after", script.directive());
    assert_eq!(Script::in_text(&prompt).unwrap().unwrap(), script);
}
