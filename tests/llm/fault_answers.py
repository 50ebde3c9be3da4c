"""Chat completions of the fault server, the same for the same prompt."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from fault_server import FaultPlan, prompt_of

_TOKEN = re.compile(r"\d|[^\W\d]+|\s+|[^\w\s]+")


def completion(plan: FaultPlan, body: dict[str, Any], fault: str | None = None) -> dict[str, Any]:
    """The body of an answer, with the faults that an answer carries."""
    prompt = prompt_of(body["messages"])
    text = answer_text(plan, body, prompt)
    finish, refusal = "stop", None
    if fault == "off_scale":
        text = '{"grade": 7}'
    elif fault == "gibberish":
        text = "Sorry, error 429"
    elif fault == "null":
        text = ""
    elif fault == "filter":
        finish, text = "content_filter", ""
    elif fault == "refusal":
        refusal, text = "I cannot help with that", ""
    elif fault == "truncated":
        finish, text = "length", text[: len(text) // 2]
    choice: dict[str, Any] = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": text or None, "refusal": refusal},
        "logprobs": None,
    }
    if body.get("logprobs") and "logprobs" not in plan.ignores and text:
        choice["logprobs"] = {"content": [token_logprob(t, plan) for t in _TOKEN.findall(text)]}
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [] if fault == "empty" else [choice],
    }
    if "usage" not in plan.ignores:
        read, written = len(prompt.split()), len(_TOKEN.findall(text))
        answer["usage"] = {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        }
    return answer


def answer_text(plan: FaultPlan, body: dict[str, Any], prompt: str) -> str:
    """A grade by the prompt's hash, or whatever the schema asks for."""
    form = body.get("response_format") or {}
    schema = (form.get("json_schema") or {}).get("schema")
    if schema is None or "response_format" in plan.ignores:
        return json.dumps({"grade": plan.grade(prompt)})
    return json.dumps(value_of(schema, plan, prompt, "answer"))


def value_of(schema: dict[str, Any], plan: FaultPlan, prompt: str, name: str) -> Any:
    """A value that fits a schema: grades and choices by hash, words of the prompt as text."""
    if name == "grade":
        return plan.grade(prompt)
    if schema.get("enum"):
        return schema["enum"][int(plan.draw(name, prompt) * len(schema["enum"]))]
    kind = schema.get("type")
    if kind == "object":
        return {
            key: value_of(inner, plan, prompt, key)
            for key, inner in (schema.get("properties") or {}).items()
        }
    if kind == "array":
        count = int(schema.get("minItems") or 3)
        return [value_of(schema["items"], plan, prompt, f"{name}{i}") for i in range(count)]
    if kind in ("integer", "number"):
        return int(plan.draw(name, prompt) * 10)
    if kind == "boolean":
        return plan.draw(name, prompt) < 0.5
    words = re.findall(r"\w{4,}", prompt) or ["nothing"]
    start = int(plan.draw(name, prompt) * len(words))
    return " ".join(words[start : start + 5])


def token_logprob(token: str, plan: FaultPlan) -> dict[str, Any]:
    """A token with its alternatives: grades share the probability, the written one has most."""
    grades = [str(grade) for grade in plan.grades]
    if token not in grades:
        return {"token": token, "logprob": 0.0, "top_logprobs": []}
    other = 0.3 / max(1, len(grades) - 1)
    top = [
        {"token": grade, "logprob": math.log(0.7 if grade == token else other)} for grade in grades
    ]
    return {"token": token, "logprob": math.log(0.7), "top_logprobs": top}


def error_body(message: str, code: str, param: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's form."""
    return {"error": {"message": message, "type": code, "param": param, "code": code}}


def refusal(plan: FaultPlan, body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
    """HTTP status and body for a field that the plan refuses."""
    if plan.models is not None and body["model"] not in plan.models:
        words = f"The model `{body['model']}` does not exist"
        return 404, error_body(words, "model_not_found")
    form = (body.get("response_format") or {}).get("type")
    for name in plan.refuses:
        if name == form:
            words = f"Invalid parameter: 'response_format' of type '{name}' is not supported"
            return 400, error_body(words, "unsupported_value", "response_format")
        if name == "max_tokens" and name in body:
            words = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return 400, error_body(words, "unsupported_parameter", name)
        if name in body:
            return 400, error_body(f"Unsupported: {name}", "unsupported_value", name)
    return None
