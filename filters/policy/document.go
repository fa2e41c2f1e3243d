// Package policy holds the types of tollgate.yaml, their defaults and their
// validation. The filters read the same types as compiled JSON, so that there
// is one vocabulary from the file an operator writes to the decision a request
// meets.
//
// The package imports nothing of the project.
package policy

//go:generate go run ./internal/reference

// Document is one tollgate.yaml.
//
// The names of APIs, products, subscriptions, backends, pools and limits are
// letters, digits, "-", "_" and ".", begin with a letter or a digit and have at
// most 64 bytes.
//
// A key that is written down has a value: null, an empty string and an unknown
// or repeated key are refused, and so are YAML's anchors, aliases, merge keys
// and tags, because a line of the file must mean the same wherever it stands.
type Document struct {
	// Gateway is the listener in front of the clients.
	Gateway Gateway `json:"gateway,omitzero"`

	// Sidecar is the service beside Envoy.
	Sidecar Sidecar `json:"sidecar,omitzero"`

	// APIs are the exposed LLM surfaces. A request belongs to the API with the
	// longest matching prefix; no match is a 404.
	//
	// default: {name: openai, shape: openai, prefix: /v1} and
	// {name: azure, shape: azure, prefix: /openai}
	APIs []API `json:"apis,omitempty"`

	// Products are groups of subscriptions.
	//
	// default: none
	Products []Product `json:"products,omitempty"`

	// Subscriptions are the clients' keys.
	//
	// default: none
	Subscriptions []Subscription `json:"subscriptions,omitempty"`

	// Identity says how callers without a subscription key are treated.
	Identity Identity `json:"identity,omitzero"`

	// Backends are the deployments of models that can answer. At least one.
	Backends []Backend `json:"backends,omitempty"`

	// Pools are the backends that can answer for one model. At least one.
	Pools []Pool `json:"pools,omitempty"`

	// Models are the names clients ask for. At least one.
	Models []Model `json:"models,omitempty"`

	// Limits bound what a caller may use.
	Limits Limits `json:"limits,omitzero"`
}

// Gateway is the listener in front of the clients.
type Gateway struct {
	// Listen is the address Envoy accepts clients on: an IP address and a port,
	// where port 0 takes any free one.
	//
	// default: 127.0.0.1:8080
	Listen string `json:"listen,omitempty"`

	// MaxBody is the largest request body, in bytes; one byte more is a 413.
	// Envoy holds a body until it has been read, and once more per retry, so
	// memory follows this number times the requests in flight.
	//
	// default: 8MiB; bounds: 1KiB to 256MiB
	MaxBody Size `json:"maxBody,omitempty"`

	// Workers is Envoy's number of worker threads. Each holds a VM of its own,
	// about 6 MB.
	//
	// default: 0, one per hardware thread; bounds: 0 to 256
	Workers int `json:"workers,omitempty"`

	// Drain bounds how long a stop waits for requests in flight. What still
	// runs after it is cut.
	//
	// default: 30s; bounds: 0s to 1h
	Drain *Duration `json:"drain,omitempty"`
}

// Sidecar is the service beside Envoy. With it gone, limits, routing and
// accounting go on.
type Sidecar struct {
	// Listen is the address of its admin side, health and metrics: an IP address
	// and a port, where port 0 takes any free one.
	//
	// default: 127.0.0.1:8081
	Listen string `json:"listen,omitempty"`
}

// Shape is the dialect of an HTTP surface: its paths and its error bodies.
type Shape string

// The shapes of APIs and backends.
const (
	// OpenAI is /v1/chat/completions with the model in the body.
	OpenAI Shape = "openai"
	// Azure is /openai/deployments/{deployment}/… with api-version in the
	// query, and, on the client's side, /openai/v1/… as well.
	Azure Shape = "azure"
	// AzureV1 is Azure's /openai/v1/… with the model in the body. Backends only.
	AzureV1 Shape = "azure-v1"
)

// API is one exposed LLM surface.
type API struct {
	// Name appears in limits and metrics; unique. Required.
	Name string `json:"name"`

	// Shape is openai or azure. Required.
	Shape Shape `json:"shape"`

	// Prefix is what stands before the shape's own paths: /v1 for
	// /v1/chat/completions, /openai for /openai/deployments/…. Starts with a
	// slash, does not end with one; unique.
	//
	// default: /v1 for openai, /openai for azure
	Prefix string `json:"prefix,omitempty"`
}

// Product is a group of subscriptions.
type Product struct {
	// Name is what subscriptions refer to; unique. Required.
	Name string `json:"name"`

	// Models are the names of the models its subscriptions may use; another is a
	// 403. An empty list is refused.
	//
	// default: all
	Models []string `json:"models,omitempty"`
}

// Subscription is a named client with its keys.
type Subscription struct {
	// Name identifies the caller in limits, metrics and logs; unique, and not
	// "refuse", which identity.anonymous takes for something else. Required.
	Name string `json:"name"`

	// Product is the group it belongs to.
	//
	// default: none, which may use every model
	Product string `json:"product,omitempty"`

	// Keys are accepted as the headers api-key and Ocp-Apim-Subscription-Key
	// and as a bearer token. Several make rotation possible. At least one, except
	// for the subscription that identity.anonymous names.
	Keys []Key `json:"keys,omitempty"`

	// Disabled refuses its keys with a 403.
	//
	// default: false
	Disabled bool `json:"disabled,omitempty"`
}

// Key is a subscription key, of which only the hash is known.
type Key struct {
	// SHA256 is the hash of the key's bytes, 64 lower-case hexadecimal digits;
	// unique among all keys. `tollgate key` makes a key and its hash. Required.
	SHA256 string `json:"sha256"`
}

// Identity says how callers are told apart.
type Identity struct {
	// Anonymous is what happens to a request without a key: "refuse" is a 401,
	// otherwise the name of the subscription it is counted under. A wrong key
	// is a 401 in either case.
	//
	// default: refuse
	Anonymous string `json:"anonymous,omitempty"`

	// TrustedHops is how many proxies in front append to X-Forwarded-For;
	// source.ip is the address the outermost of them saw. 0 means the peer.
	//
	// default: 0; bounds: 0 to 16
	TrustedHops int `json:"trustedHops,omitempty"`
}

// Refuse is the Identity.Anonymous that lets nobody in.
const Refuse = "refuse"

// Backend is one deployment of a model.
type Backend struct {
	// Name is what pools refer to; unique. Required.
	Name string `json:"name"`

	// URL is scheme, host and optional port, and for openai and azure-v1 an
	// optional path before the operation's: https://api.openai.com/v1 and
	// https://api.openai.com mean the same. A slash at its end is dropped.
	// Required.
	URL string `json:"url"`

	// Shape is openai, azure or azure-v1.
	//
	// default: openai
	Shape Shape `json:"shape,omitempty"`

	// Deployment is the deployment's name in an azure path, or the model sent
	// to openai and azure-v1 backends.
	//
	// default: the name of the model asked for
	Deployment string `json:"deployment,omitempty"`

	// APIVersion is the api-version in an azure query. Required for azure,
	// refused for the others.
	//
	// default: none
	APIVersion string `json:"apiVersion,omitempty"`

	// Credential is added to each try after everything that looks like a
	// credential has been removed.
	//
	// default: none
	Credential *Credential `json:"credential,omitempty"`

	// TLS changes how an https backend is verified. Refused for http.
	//
	// default: none
	TLS *TLS `json:"tls,omitempty"`
}

// Credential is a secret that Envoy adds to the requests of one backend. Exactly
// one of file and env.
type Credential struct {
	// Header carries the secret. Upper and lower case are the same.
	//
	// default: api-key for azure and azure-v1, authorization for openai
	Header string `json:"header,omitempty"`

	// Prefix stands before the secret in the header.
	//
	// default: "Bearer " where the header is authorization, else none
	Prefix *string `json:"prefix,omitempty"`

	// File holds the secret; white space around it is ignored. A relative name
	// is relative to the document. A changed file takes effect without restart.
	//
	// default: none
	File string `json:"file,omitempty"`

	// Env names the environment variable of `tollgate up` that holds the secret.
	//
	// default: none
	Env string `json:"env,omitempty"`
}

// TLS changes how an https backend is verified. Its host name is always sent as
// SNI and always checked against the certificate.
type TLS struct {
	// CA is a PEM file of certificate authorities. A relative name is relative
	// to the document.
	//
	// default: the system's
	CA string `json:"ca,omitempty"`
}

// Strategy is how a pool orders its backends for a request.
type Strategy string

// The strategies of a pool.
const (
	// Priority takes the lowest number first; weighted at random inside it.
	Priority Strategy = "priority"
	// RoundRobin starts each request at the next member.
	RoundRobin Strategy = "round-robin"
	// Weighted draws at random in proportion to the weights.
	Weighted Strategy = "weighted"
)

// Pool is the backends that can answer for one model.
type Pool struct {
	// Name is what models refer to; unique. Required.
	Name string `json:"name"`

	// Strategy is priority, round-robin or weighted.
	//
	// default: priority
	Strategy Strategy `json:"strategy,omitempty"`

	// Members are the backends, each at most once. At least one.
	Members []Member `json:"members"`

	// Retry says how often and how long a request is tried.
	Retry Retry `json:"retry,omitzero"`
}

// Member is one backend's part in a pool.
type Member struct {
	// Backend is its name. Required.
	Backend string `json:"backend"`

	// Priority groups members; the lowest number is used first. Only with
	// strategy priority.
	//
	// default: 1; bounds: 1 to 100
	Priority int `json:"priority,omitempty"`

	// Weight is its share among members of the same priority. Not with strategy
	// round-robin.
	//
	// default: 1; bounds: 1 to 1000
	Weight int `json:"weight,omitempty"`
}

// Retry says how often and how long a request is tried before the first byte of
// an answer.
type Retry struct {
	// Attempts is the number of tries, the first included. Each goes to the
	// next backend of the order; no backend is tried twice.
	//
	// default: 3; bounds: 1 to 10
	Attempts int `json:"attempts,omitempty"`

	// Timeout bounds each try until its answer begins, so it must be longer
	// than the longest answer that is not streamed.
	//
	// default: 10m; bounds: 100ms to 1h
	Timeout Duration `json:"timeout,omitempty"`
}

// Retriable are the statuses of a backend's answer after which the next one is
// tried.
var Retriable = []int{408, 429, 499, 500, 502, 503, 504}

// Model is a name clients ask for.
type Model struct {
	// Name is the model in the body, or the deployment in an Azure path; at most
	// 256 bytes without white space, unique among names and aliases. Required.
	Name string `json:"name"`

	// Pool is what answers for it. Required.
	Pool string `json:"pool"`

	// Aliases are further names for it.
	//
	// default: none
	Aliases []string `json:"aliases,omitempty"`
}

// Limits bound what a caller may use.
type Limits struct {
	// Tokens are token limits. A request passes only if it fits in every one of
	// them; where one refuses, nothing is taken from any.
	//
	// default: none
	Tokens []TokenLimit `json:"tokens,omitempty"`
}

// TokenLimit is a token bucket per counter key.
type TokenLimit struct {
	// Name appears in the error a refused client sees, and in metrics; unique.
	// Required.
	Name string `json:"name"`

	// Key is the list of selectors that make the counter key: subscription,
	// product, source.ip, header:<name>, query:<name>, model, deployment, api.
	// A missing value counts as "-". At least one.
	Key []Selector `json:"key"`

	// TokensPerMinute is both the rate and the size of the bucket. A number, or
	// an object that takes it from a request header. Required.
	TokensPerMinute Rate `json:"tokensPerMinute"`

	// Estimate is how a prompt is counted before the backend reports its usage:
	// fast (from its bytes) or off (nothing is reserved, usage is charged
	// afterwards).
	//
	// default: fast
	Estimate Estimate `json:"estimate,omitempty"`

	// Headers names the response headers.
	Headers LimitHeaders `json:"headers,omitzero"`
}

// Selector picks a value of a request.
type Selector string

// Rate is tokens per minute.
type Rate struct {
	// Header is the request header that may set the rate. Upper and lower case are the
	// same.
	//
	// default: none, the rate is fixed
	Header string `json:"header,omitempty"`

	// Default is the rate where the header is absent or not a number. Required.
	//
	// bounds: 1 to 1000000000
	Default int64 `json:"default"`

	// Min is the least a header may ask for; less is clamped and marked. Only
	// with header.
	//
	// default: 1; bounds: 1 to default
	Min int64 `json:"min,omitempty"`

	// Max is the most a header may ask for; more is clamped and marked. Required
	// with header, refused without.
	//
	// bounds: default to 1000000000
	Max int64 `json:"max,omitempty"`
}

// Estimate is how a prompt is counted before its usage is known.
type Estimate string

// The ways to count a prompt.
const (
	// Fast counts the bytes.
	Fast Estimate = "fast"
	// Off reserves nothing.
	Off Estimate = "off"
)

// LimitHeaders names the response headers of a limit. Upper and lower case are
// the same, and every answer carries lower case.
type LimitHeaders struct {
	// Consumed carries the tokens this request was charged.
	//
	// default: consumed-tokens
	Consumed string `json:"consumed,omitempty"`

	// Remaining carries the tokens left in the bucket.
	//
	// default: remaining-tokens
	Remaining string `json:"remaining,omitempty"`
}
