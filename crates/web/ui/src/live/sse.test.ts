import { expect, it } from "vitest";
import { parser, type Message } from "./sse";

const TEXT = `: beat

id: 5
data: {"a":1}

event: ready
data: {"number":5}

id: 6\r
data: one\r
data:two\r
\r
event: mark
id: 9
data: {}

data: not ended`;

const whole: Message[] = [
  { event: "message", data: '{"a":1}', id: "5" },
  { event: "ready", data: '{"number":5}', id: null },
  { event: "message", data: "one\ntwo", id: "6" },
  { event: "mark", data: "{}", id: "9" },
];

it("reads a stream whole, and cut at every place", () => {
  for (let cut = 0; cut <= TEXT.length; cut += 1) {
    const heard: Message[] = [];
    const feed = parser((message) => heard.push(message));
    feed(TEXT.slice(0, cut));
    feed(TEXT.slice(cut));
    expect(heard, `cut at ${cut}`).toEqual(whole);
  }
});

it("reads a stream letter by letter", () => {
  const heard: Message[] = [];
  const feed = parser((message) => heard.push(message));
  for (const letter of TEXT) feed(letter);
  expect(heard).toEqual(whole);
});
