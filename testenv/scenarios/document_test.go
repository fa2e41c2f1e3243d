package scenarios

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// The documents. $GATEWAY and $SIDECAR are addresses, $A, $B and $C the URLs of
// mocks, $SUBSCRIPTIONS two subscriptions per scenario.

const plain = `
gateway: {listen: $GATEWAY, maxBody: 8MiB, workers: 4}
sidecar: {listen: $SIDECAR}
products:
  - {name: gold}
  - {name: bronze, models: [small]}
subscriptions:
$SUBSCRIPTIONS
  - {name: rotating, product: gold, keys: [{sha256: $HASH(old)}, {sha256: $HASH(new)}]}
  - {name: former, product: gold, keys: [{sha256: $HASH(former)}], disabled: true}
  - {name: modest, product: bronze, keys: [{sha256: $HASH(modest)}]}
backends:
  - {name: a, url: $A}
  - {name: a-azure, url: $A, shape: azure, apiVersion: "2024-10-21"}
pools:
  - {name: main, members: [{backend: a}]}
  - {name: azure, members: [{backend: a-azure}]}
models:
  - {name: gpt-4o, pool: main, aliases: [gpt-4o-2024-08-06]}
  - {name: gpt-4o-azure, pool: azure}
  - {name: small, pool: main}
limits:
  tokens:
    - name: per-caller
      key: [subscription]
      tokensPerMinute: {header: x-tokens-per-minute, default: 1000, min: 10, max: 100000000}
`

const manyLimits = `
gateway: {listen: $GATEWAY, workers: 2}
sidecar: {listen: $SIDECAR}
subscriptions:
$SUBSCRIPTIONS
backends:
  - {name: a, url: $A}
pools:
  - {name: main, members: [{backend: a}]}
models:
  - {name: gpt-4o, pool: main}
limits:
  tokens:
    - name: per-caller
      key: [subscription]
      tokensPerMinute: {header: x-tokens-per-minute, default: 1000, max: 100000000}
    - name: per-team
      key: [subscription, "header:x-team"]
      tokensPerMinute: {header: x-team-tokens-per-minute, default: 1000, max: 100000000}
    - name: per-model
      key: [subscription, model]
      tokensPerMinute: 5000
      headers: {consumed: model-consumed-tokens, remaining: model-remaining-tokens}
    - name: per-api
      key: [subscription, api]
      tokensPerMinute: 5000
      headers: {consumed: api-consumed-tokens, remaining: api-remaining-tokens}
    - name: per-user
      key: [subscription, "query:user"]
      tokensPerMinute: 5000
      headers: {consumed: user-consumed-tokens, remaining: user-remaining-tokens}
    - name: per-source
      key: [subscription, source.ip, product, deployment]
      tokensPerMinute: 5000
      headers: {consumed: source-consumed-tokens, remaining: source-remaining-tokens}
`

const afterwards = `
gateway: {listen: $GATEWAY, workers: 1}
sidecar: {listen: $SIDECAR}
subscriptions:
$SUBSCRIPTIONS
  - {name: nobody, keys: [{sha256: $HASH(nobody)}]}
identity: {anonymous: nobody}
backends:
  - {name: a, url: $A}
pools:
  - {name: main, members: [{backend: a}]}
models:
  - {name: gpt-4o, pool: main}
limits:
  tokens:
    - {name: per-caller, key: [subscription], tokensPerMinute: 1000, estimate: off}
`

const failover = `
gateway: {listen: $GATEWAY, workers: 2}
sidecar: {listen: $SIDECAR}
subscriptions:
$SUBSCRIPTIONS
backends:
  - name: a
    url: $A
    shape: azure
    deployment: sweden-4o
    apiVersion: "2024-06-01"
    credential: {file: secrets/a}
  - name: b
    url: $B
    shape: azure-v1
    deployment: east-4o
    credential: {env: SECRET_OF_B}
  - name: c
    url: $C
    shape: openai
    deployment: gpt-4o-2024-11-20
    credential: {file: secrets/c}
  - {name: refused, url: "http://127.0.0.1:1"}
  - {name: nowhere, url: "http://nowhere.invalid"}
pools:
  - {name: abc, members: [{backend: a, priority: 1}, {backend: b, priority: 2}, {backend: c, priority: 3}]}
  - name: twice
    members: [{backend: a, priority: 1}, {backend: b, priority: 2}, {backend: c, priority: 3}]
    retry: {attempts: 2}
  - {name: refused, members: [{backend: refused, priority: 1}, {backend: c, priority: 2}]}
  - {name: nowhere, members: [{backend: nowhere, priority: 1}, {backend: c, priority: 2}]}
  - {name: dead, members: [{backend: refused, priority: 1}, {backend: nowhere, priority: 2}]}
  - {name: mostly-a, strategy: weighted, members: [{backend: a, weight: 4}, {backend: b, weight: 1}], retry: {attempts: 1}}
  - {name: turns, strategy: round-robin, members: [{backend: a}, {backend: b}, {backend: c}], retry: {attempts: 1}}
  - name: slow
    members: [{backend: a, priority: 1}, {backend: c, priority: 2}]
    retry: {timeout: 200ms}
models:
  - {name: gpt-4o, pool: abc}
  - {name: gpt-4o-twice, pool: twice}
  - {name: gpt-4o-refused, pool: refused}
  - {name: gpt-4o-nowhere, pool: nowhere}
  - {name: gpt-4o-dead, pool: dead}
  - {name: gpt-4o-turns, pool: turns}
  - {name: gpt-4o-mostly-a, pool: mostly-a}
  - {name: gpt-4o-slow, pool: slow}
limits:
  tokens:
    - name: per-caller
      key: [subscription]
      tokensPerMinute: {header: x-tokens-per-minute, default: 1000, max: 100000000}
`

const overTLS = `
gateway: {listen: $GATEWAY, workers: 1}
sidecar: {listen: $SIDECAR}
subscriptions:
$SUBSCRIPTIONS
backends:
  - {name: a, url: $A, tls: {ca: ca.pem}}
  - {name: b, url: $B, tls: {ca: ca.pem}}
  - {name: c, url: $C, tls: {ca: ca.pem}}
pools:
  - {name: a, members: [{backend: a}]}
  - {name: b, members: [{backend: b}]}
  - {name: c, members: [{backend: c}]}
  - {name: all, members: [{backend: b, priority: 1}, {backend: c, priority: 2}, {backend: a, priority: 3}]}
models:
  - {name: gpt-4o, pool: a}
  - {name: misnamed, pool: b}
  - {name: unknown, pool: c}
  - {name: either, pool: all}
limits:
  tokens:
    - name: per-caller
      key: [subscription]
      tokensPerMinute: {header: x-tokens-per-minute, default: 1000, max: 100000000}
`

// subscriptions are n of them, s0 to s(n-1), each with the key that keyOf names.
func subscriptions(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  - {name: s%d, keys: [{sha256: %s}]}\n", i, hash(keyOf(i)))
	}
	return b.String()
}

// keyOf is the key of subscription i. It is a word that nothing else contains,
// so that a leak can be searched for.
func keyOf(i int) string { return fmt.Sprintf("tg-secret-of-s%d", i) }

func hash(key string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(key))) }
