"""The vendors' own clients against the gateway: every call kind, every provider. Prints a line a case; exits 1 on failures.

usage: clients.py GATEWAY_URL KEY    (models are PROVIDER/m and PROVIDER/limited of the providers named as the dialects)
"""

import asyncio
import json
import sys
import traceback

import anthropic
import openai
from google import genai
from google.genai import types
from pydantic import BaseModel

URL, KEY = sys.argv[1], sys.argv[2]
PROVIDERS = ["openai", "responses", "anthropic", "gemini"]
SAY = 'Say it. @script {"steps":[{"text":"Grüße, dich!"}]}'
CALL = (
    '@script {"steps":[{"all":[{"call":{"name":"weather","input":{"city":"Köln"}}},'
    '{"call":{"name":"weather","input":{"city":"Paris"}}}]},{"text":"It rains in Köln."}]}'
)
SHAPE = '@script {"steps":[{"json":{"city":"Köln","rain":true}}]}'
LIMIT = '@script {"steps":[{"text":"x"}],"faults":[{"kind":"status","status":429,"retry_after":100,"times":"forever"}]}'
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}


class Weather(BaseModel):
    city: str
    rain: bool


def limited(model):
    """Another model of the same provider: one that is used too often rests."""
    return model.split("/")[0] + "/limited"


def check(condition, what):
    if not condition:
        raise AssertionError(what)


# ---- openai: chat completions -------------------------------------------------------------------------------------

OPENAI = dict(base_url=URL + "/v1", api_key=KEY, max_retries=0)
CHAT_TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": SCHEMA}}


def chat_plain(model):
    answer = openai.OpenAI(**OPENAI).chat.completions.create(model=model, messages=[
        {"role": "system", "content": "You are terse."}, {"role": "user", "content": SAY}])
    check(answer.choices[0].message.content == "Grüße, dich!", answer)
    check(answer.choices[0].finish_reason == "stop" and answer.usage.total_tokens > 0, answer)


def chat_stream(model):
    stream = openai.OpenAI(**OPENAI).chat.completions.create(
        model=model, stream=True, stream_options={"include_usage": True}, messages=[{"role": "user", "content": SAY}])
    text, usage = "", None
    for chunk in stream:
        usage = chunk.usage or usage
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    check(text == "Grüße, dich!" and usage.total_tokens > 0, (text, usage))


async def chat_async(model):
    client = openai.AsyncOpenAI(**OPENAI)
    answers = await asyncio.gather(*(client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": SAY}]) for _ in range(8)))
    check(all(a.choices[0].message.content == "Grüße, dich!" for a in answers), answers)
    text = ""
    async for chunk in await client.chat.completions.create(
            model=model, stream=True, messages=[{"role": "user", "content": SAY}]):
        check(chunk.choices, "a chunk without choices that nobody asked for")
        text += chunk.choices[0].delta.content or ""
    check(text == "Grüße, dich!", text)


def chat_tools(model):
    client = openai.OpenAI(**OPENAI)
    messages = [{"role": "user", "content": CALL}]
    first = client.chat.completions.create(model=model, messages=messages, tools=[CHAT_TOOL])
    message = first.choices[0].message
    check([json.loads(c.function.arguments)["city"] for c in message.tool_calls] == ["Köln", "Paris"], message)
    check(first.choices[0].finish_reason == "tool_calls", first)
    messages.append(message.model_dump(exclude_none=True))
    messages += [{"role": "tool", "tool_call_id": c.id, "content": "rain"} for c in message.tool_calls]
    second = client.chat.completions.create(model=model, messages=messages, tools=[CHAT_TOOL])
    check(second.choices[0].message.content == "It rains in Köln.", second)


def chat_stream_tools(model):
    with openai.OpenAI(**OPENAI).chat.completions.stream(
            model=model, messages=[{"role": "user", "content": CALL}],
            tools=[CHAT_TOOL | {"function": CHAT_TOOL["function"] | {"strict": True}}]) as stream:
        answer = stream.get_final_completion()
    calls = answer.choices[0].message.tool_calls
    check([json.loads(c.function.arguments)["city"] for c in calls] == ["Köln", "Paris"], calls)


def chat_parse(model):
    answer = openai.OpenAI(**OPENAI).chat.completions.parse(
        model=model, messages=[{"role": "user", "content": SHAPE}], response_format=Weather)
    check(answer.choices[0].message.parsed == Weather(city="Köln", rain=True), answer)


def chat_image(model):
    answer = openai.OpenAI(**OPENAI).chat.completions.create(model=model, messages=[{"role": "user", "content": [
        {"type": "text", "text": SAY}, {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}}]}])
    check(answer.choices[0].message.content == "Grüße, dich!", answer)


def chat_errors(model):
    client = openai.OpenAI(**OPENAI)
    try:
        client.chat.completions.create(model=limited(model), messages=[{"role": "user", "content": LIMIT}])
        check(False, "no error")
    except openai.RateLimitError as error:
        check(error.code == "rate_limited" and error.request_id, error)
    try:
        openai.OpenAI(**OPENAI | {"api_key": "mk_wrong"}).models.list()
        check(False, "no error")
    except openai.AuthenticationError as error:
        check(error.code == "invalid_key", error)
    try:
        client.chat.completions.create(model="nobody/knows", messages=[{"role": "user", "content": "x"}])
        check(False, "no error")
    except openai.NotFoundError as error:
        check(error.code == "not_found", error)


# ---- openai: responses --------------------------------------------------------------------------------------------

TOOL = {"type": "function", "name": "weather", "description": "The weather.", "parameters": SCHEMA, "strict": True}


def responses_plain(model):
    answer = openai.OpenAI(**OPENAI).responses.create(model=model, instructions="You are terse.", input=SAY)
    check(answer.output_text == "Grüße, dich!" and answer.usage.total_tokens > 0, answer)


def responses_stream(model):
    with openai.OpenAI(**OPENAI).responses.stream(model=model, input=SAY) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    check(text == "Grüße, dich!" and final.status == "completed", (text, final))


async def responses_async(model):
    answer = await openai.AsyncOpenAI(**OPENAI).responses.create(model=model, input=SAY)
    check(answer.output_text == "Grüße, dich!", answer)


def responses_tools(model):
    client = openai.OpenAI(**OPENAI)
    messages = [{"role": "user", "content": CALL}]
    first = client.responses.create(model=model, input=messages, tools=[TOOL])
    calls = [item for item in first.output if item.type == "function_call"]
    check([json.loads(c.arguments)["city"] for c in calls] == ["Köln", "Paris"], first)
    messages += [item.model_dump(exclude_none=True) for item in first.output]
    messages += [{"type": "function_call_output", "call_id": c.call_id, "output": "rain"} for c in calls]
    second = client.responses.create(model=model, input=messages, tools=[TOOL])
    check(second.output_text == "It rains in Köln.", second)


def responses_stream_tools(model):
    with openai.OpenAI(**OPENAI).responses.stream(model=model, input=CALL, tools=[TOOL]) as stream:
        final = stream.get_final_response()
    calls = [item for item in final.output if item.type == "function_call"]
    check([json.loads(c.arguments)["city"] for c in calls] == ["Köln", "Paris"], final)


def responses_parse(model):
    answer = openai.OpenAI(**OPENAI).responses.parse(model=model, input=SHAPE, text_format=Weather)
    check(answer.output_parsed == Weather(city="Köln", rain=True), answer)


# ---- anthropic ----------------------------------------------------------------------------------------------------

ANTHROPIC = dict(base_url=URL, api_key=KEY, max_retries=0)
ANTHROPIC_TOOL = {"name": "weather", "description": "The weather.", "input_schema": SCHEMA}


def messages_plain(model):
    answer = anthropic.Anthropic(**ANTHROPIC).messages.create(
        model=model, max_tokens=500, system="You are terse.", messages=[{"role": "user", "content": SAY}])
    check(answer.content[0].text == "Grüße, dich!" and answer.stop_reason == "end_turn", answer)
    check(answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, answer)


def messages_stream(model):
    with anthropic.Anthropic(**ANTHROPIC).messages.stream(
            model=model, max_tokens=500, messages=[{"role": "user", "content": SAY}]) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    check(text == "Grüße, dich!" and final.usage.output_tokens > 0, final)


async def messages_async(model):
    async with anthropic.AsyncAnthropic(**ANTHROPIC).messages.stream(
            model=model, max_tokens=500, messages=[{"role": "user", "content": SAY}]) as stream:
        check(await stream.get_final_text() == "Grüße, dich!", "text")


def messages_tools(model):
    client = anthropic.Anthropic(**ANTHROPIC)
    messages = [{"role": "user", "content": CALL}]
    kind = dict(model=model, max_tokens=500, tools=[ANTHROPIC_TOOL])
    with client.messages.stream(messages=messages, **kind) as stream:
        first = stream.get_final_message()
    calls = [block for block in first.content if block.type == "tool_use"]
    check([c.input["city"] for c in calls] == ["Köln", "Paris"] and first.stop_reason == "tool_use", first)
    messages.append({"role": "assistant", "content": first.content})
    messages.append({"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": c.id, "content": "rain"} for c in calls]})
    second = client.messages.create(messages=messages, **kind)
    check(second.content[0].text == "It rains in Köln.", second)


def messages_image(model):
    answer = anthropic.Anthropic(**ANTHROPIC).messages.create(model=model, max_tokens=500, messages=[
        {"role": "user", "content": [{"type": "text", "text": SAY, "cache_control": {"type": "ephemeral"}},
         {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}]}])
    check(answer.content[0].text == "Grüße, dich!", answer)


def messages_count(model):
    answer = anthropic.Anthropic(**ANTHROPIC).messages.count_tokens(
        model=model, messages=[{"role": "user", "content": SAY}])
    check(answer.input_tokens > 0, answer)


def messages_errors(model):
    try:
        anthropic.Anthropic(**ANTHROPIC).messages.create(
            model=limited(model), max_tokens=5, messages=[{"role": "user", "content": LIMIT}])
        check(False, "no error")
    except anthropic.RateLimitError as error:
        check(error.body["error"]["code"] == "rate_limited" and error.request_id, error)


# ---- google-genai -------------------------------------------------------------------------------------------------

WEATHER = types.Tool(function_declarations=[types.FunctionDeclaration(
    name="weather", description="The weather.",
    parameters=types.Schema(type="OBJECT", properties={"city": types.Schema(type="STRING")}, required=["city"]))])


def google():
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL))


def gemini_plain(model):
    client = google()
    answer = client.models.generate_content(
        model=model, contents=SAY, config=types.GenerateContentConfig(system_instruction="You are terse."))
    check(answer.text == "Grüße, dich!" and answer.usage_metadata.total_token_count > 0, answer)


def gemini_stream(model):
    client = google()
    chunks = list(client.models.generate_content_stream(model=model, contents=SAY))
    check("".join(c.text or "" for c in chunks) == "Grüße, dich!", chunks)
    check(chunks[-1].usage_metadata.total_token_count > 0, chunks)


async def gemini_async(model):
    client = google()
    answer = await client.aio.models.generate_content(model=model, contents=SAY)
    check(answer.text == "Grüße, dich!", answer)
    text = ""
    async for chunk in await client.aio.models.generate_content_stream(model=model, contents=SAY):
        text += chunk.text or ""
    check(text == "Grüße, dich!", text)


def gemini_tools(model):
    client = google()
    config = types.GenerateContentConfig(tools=[WEATHER])
    contents = [types.Content(role="user", parts=[types.Part(text=CALL)])]
    first = client.models.generate_content(model=model, contents=contents, config=config)
    check([c.args["city"] for c in first.function_calls] == ["Köln", "Paris"], first)
    contents.append(first.candidates[0].content)
    contents.append(types.Content(role="user", parts=[
        types.Part.from_function_response(name="weather", response={"result": "rain"}) for _ in first.function_calls]))
    second = client.models.generate_content(model=model, contents=contents, config=config)
    check(second.text == "It rains in Köln.", second)


def gemini_shape(model):
    client = google()
    answer = client.models.generate_content(model=model, contents=SHAPE, config=types.GenerateContentConfig(
        response_mime_type="application/json", response_schema=Weather))
    check(answer.parsed == Weather(city="Köln", rain=True), answer)


def gemini_count(model):
    client = google()
    check(client.models.count_tokens(model=model, contents=SAY).total_tokens > 0, "count")


def gemini_errors(model):
    client = google()
    try:
        client.models.generate_content(model=limited(model), contents=LIMIT)
        check(False, "no error")
    except genai.errors.ClientError as error:
        check(error.code == 429, error)


CASES = [value for name, value in list(globals().items())
         if callable(value) and name.split("_")[0] in ("chat", "responses", "messages", "gemini") and "_" in name]


def main():
    failed = 0
    for provider in PROVIDERS:
        for case in CASES:
            try:
                done = case(provider + "/m")
                if asyncio.iscoroutine(done):
                    asyncio.run(done)
                print(f"ok      {case.__name__:<24} on {provider}")
            except Exception as error:
                failed += 1
                print(f"FAILED  {case.__name__:<24} on {provider}: {type(error).__name__}: {str(error)[:600]}")
                if not isinstance(error, AssertionError):
                    traceback.print_exc(limit=-3)
    ids = [m.id for m in openai.OpenAI(**OPENAI).models.list()]
    check(ids[0] == "anthropic/m", ids)
    check(anthropic.Anthropic(**ANTHROPIC).models.list().data[0].id == "anthropic/m", "models")
    print(f"{len(CASES) * len(PROVIDERS)} cases, {failed} failures")
    sys.exit(1 if failed else 0)


main()
