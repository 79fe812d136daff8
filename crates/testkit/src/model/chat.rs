//! OpenAI Chat Completions: `POST /v1/chat/completions`.

use serde_json::{Value, json};

use super::answer::{Answer, Input, Part, fresh, pieces};
use super::ask::{Ask, Tool, Turn};
use super::dialect::{Dialect, data, list, text_of};

pub(crate) fn read(body: &Value) -> Ask {
    let messages = list(body, "messages");
    let is_system = |message: &&Value| message["role"] == "system" || message["role"] == "developer";
    let system: Vec<String> = messages
        .iter()
        .filter(is_system)
        .map(|message| text_of(&message["content"]))
        .collect();
    Ask {
        dialect: Dialect::Chat,
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        stream: body["stream"] == true,
        system: system.join("\n"),
        turns: messages
            .iter()
            .filter(|message| !is_system(message))
            .map(turn)
            .collect(),
        tools: list(body, "tools").iter().filter_map(tool).collect(),
        schema: schema(&body["response_format"]),
        forced: body
            .pointer("/tool_choice/function/name")
            .and_then(Value::as_str)
            .map(str::to_owned),
        size: body.to_string().len(),
    }
}

fn turn(message: &Value) -> Turn {
    if message["role"] == "tool" {
        return Turn {
            user: true,
            text: String::new(),
            results: 1,
        };
    }
    Turn {
        user: message["role"] == "user",
        text: text_of(&message["content"]),
        results: 0,
    }
}

fn tool(tool: &Value) -> Option<Tool> {
    let function = tool.get("function")?;
    Some(Tool {
        name: function["name"].as_str()?.to_owned(),
        parameters: Some(function["parameters"].clone()),
    })
}

fn schema(format: &Value) -> Option<Value> {
    match format["type"].as_str()? {
        "json_schema" => format.pointer("/json_schema/schema").cloned(),
        "json_object" => Some(json!({"type": "object"})),
        _ => None,
    }
}

fn call(name: &str, input: &Input, answer: &Answer) -> Value {
    let arguments = match input {
        Input::Json(value) => answer.arguments(value),
        Input::Free(text) => answer.arguments(&json!({"input": text})),
    };
    json!({"id": fresh("call"), "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn finish(answer: &Answer) -> &'static str {
    if answer.calls() { "tool_calls" } else { "stop" }
}

fn usage(ask: &Ask, answer: &Answer) -> Value {
    let (input, output) = (ask.size / 4, answer.tokens());
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

fn text(answer: &Answer) -> String {
    let texts = answer.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Call { .. } => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn calls(answer: &Answer) -> Vec<Value> {
    let calls = answer.parts.iter().filter_map(|part| match part {
        Part::Call { name, input } => Some(call(name, input, answer)),
        Part::Text(_) => None,
    });
    calls.collect()
}

pub(crate) fn document(ask: &Ask, answer: &Answer) -> Value {
    let (text, calls) = (text(answer), calls(answer));
    let mut message = json!({"role": "assistant", "content": (!text.is_empty()).then_some(text)});
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    let mut out = json!({
        "id": fresh("chatcmpl"), "object": "chat.completion", "created": 1_700_000_000, "model": ask.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish(answer), "logprobs": null}],
    });
    if !answer.no_usage {
        out["usage"] = usage(ask, answer);
    }
    out
}

pub(crate) fn frames(ask: &Ask, answer: &Answer) -> Vec<String> {
    let id = fresh("chatcmpl");
    let chunk = |choices: Value| json!({"id": id, "object": "chat.completion.chunk", "created": 1_700_000_000, "model": ask.model, "choices": choices});
    let delta = |delta: Value| data(&chunk(json!([{"index": 0, "delta": delta, "finish_reason": null}])));
    let mut out = vec![delta(json!({"role": "assistant", "content": ""}))];
    out.extend(
        pieces(&text(answer))
            .into_iter()
            .map(|piece| delta(json!({"content": piece}))),
    );
    for (index, mut call) in calls(answer).into_iter().enumerate() {
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default().to_owned();
        call["index"] = json!(index);
        call["function"]["arguments"] = json!("");
        out.push(delta(json!({"tool_calls": [call]})));
        let part = |piece| delta(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}));
        out.extend(pieces(&arguments).into_iter().map(part));
    }
    out.push(data(&chunk(
        json!([{"index": 0, "delta": {}, "finish_reason": finish(answer)}]),
    )));
    if !answer.no_usage {
        let mut last = chunk(json!([]));
        last["usage"] = usage(ask, answer);
        out.push(data(&last));
    }
    out.push("data: [DONE]\n\n".to_owned());
    out
}
