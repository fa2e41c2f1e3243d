"""Plays cases with the official OpenAI SDK and prints what its user gets.

Reads a JSON list of cases from standard input and writes a list of outcomes to
standard output. A case is {"client": "openai"|"azure", "url", "key", "model",
"prompt", "stream": bool, "options": stream options or null, "retries": int}.
An outcome is {"error": class or null, "status", "message", "code", "text",
"usage": total tokens or null, "chunks", "requests", "seconds"}.
"""

import json
import sys
import time

import openai


def client(case):
    if case["client"] == "azure":
        return openai.AzureOpenAI(
            azure_endpoint=case["url"],
            api_key=case["key"],
            api_version="2024-10-21",
            max_retries=case["retries"],
        )
    return openai.OpenAI(base_url=case["url"] + "/v1", api_key=case["key"], max_retries=case["retries"])


def play(case):
    outcome = {"error": None, "status": None, "message": None, "code": None, "text": "", "usage": None, "chunks": 0}
    request = {"model": case["model"], "messages": [{"role": "user", "content": case["prompt"]}]}
    if case["stream"]:
        request["stream"] = True
    if case["options"] is not None:
        request["stream_options"] = case["options"]
    sent = []
    with client(case) as sdk:
        sdk._client.event_hooks["request"].append(sent.append)
        started = time.monotonic()
        try:
            answer = sdk.chat.completions.create(**request)
            for part in answer if case["stream"] else [answer]:
                outcome["chunks"] += 1
                for choice in part.choices:
                    said = choice.delta if case["stream"] else choice.message
                    outcome["text"] += said.content or ""
                if part.usage is not None:
                    outcome["usage"] = part.usage.total_tokens
        except openai.APIStatusError as error:
            outcome |= {"error": type(error).__name__, "status": error.status_code, "code": error.code}
            outcome["message"] = error.body["message"] if isinstance(error.body, dict) else str(error.body)
        except openai.OpenAIError as error:
            outcome |= {"error": type(error).__name__, "message": str(error)}
    outcome["requests"] = len(sent)
    outcome["seconds"] = time.monotonic() - started
    return outcome


json.dump([play(case) for case in json.load(sys.stdin)], sys.stdout)
