package scenarios

import "net/http"

// callers are who may ask, and for what.
var callers = []scenario{
	{"the key in api-key", []step{call{}}},
	{"the key in Ocp-Apim-Subscription-Key", []step{
		keyIn("Ocp-Apim-Subscription-Key", ""),
	}},
	{"the key as bearer", []step{keyIn("Authorization", "Bearer ")}},
	{"the key as bearer in lower case", []step{keyIn("authorization", "bearer ")}},
	{"either key while keys rotate", []step{call{key: "old"}, call{key: "new"}}},

	{"an unknown key on the OpenAI surface", []step{call{key: "wrong", status: 401, says: `{"error":{"message":"Incorrect API key provided, or none.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`}}},
	{"an unknown key on the Azure surface", []step{call{path: azurePath, key: "wrong", status: 401, says: `{"error":{"code":"401","message":"Incorrect API key provided, or none."}}`}}},
	{"an unknown key of a known length", []step{call{key: "tg-secret-of-sx", status: 401}}},
	{"no key", []step{call{key: "none", status: 401}}},
	{"no key on the Azure surface", []step{call{path: azurePath, key: "none", status: 401}}},
	{"an empty key", []step{call{key: "none", header: map[string]string{"api-key": ""}, status: 401}}},
	{"a key in the query", []step{call{key: "none", path: chatPath + "?api-key=new", status: 401}}},
	{"the hash of a key", []step{call{key: hash("new"), status: 401}}},
	{"basic authorization", []step{call{key: "none", header: map[string]string{"Authorization": "Basic bmV3"}, status: 401}}},

	{"a disabled subscription", []step{call{key: "former", status: 403, says: `{"error":{"message":"This API key is disabled.","type":"invalid_request_error","param":null,"code":"key_disabled"}}`}}},
	{"a disabled subscription on the Azure surface", []step{call{path: azurePath, key: "former", status: 403}}},
	{"a model of the product", []step{call{key: "modest", body: chatFor("small")}}},
	{"a model outside the product", []step{call{key: "modest", status: 403, says: `{"error":{"message":"This API key may not use the model 'gpt-4o'.","type":"invalid_request_error","param":"model","code":"model_not_allowed"}}`}}},
	{"a deployment outside the product", []step{call{path: azurePath, key: "modest", status: 403}}},
	{"an alias of a model outside the product", []step{call{key: "modest", body: chatFor("gpt-4o-2024-08-06"), status: 403}}},
}

// keyIn sends the scenario's key in a header of its own, and nothing else.
func keyIn(header, prefix string) step {
	return act(func(s *stage) {
		call{key: "none", header: map[string]string{header: prefix + s.key}}.play(s)
		for _, name := range []string{"api-key", "ocp-apim-subscription-key", "authorization"} {
			if v := s.last().Header.Get(name); v != "" {
				s.t.Errorf("the backend has received %s", name)
			}
		}
	})
}

// anonymousCallers are callers without a key where that is allowed.
var anonymousCallers = []scenario{
	{"no key is a subscription", []step{call{key: "none", fault: "tokens=1500"}}},
	{"its bucket is the subscription's", []step{call{key: "nobody", status: http.StatusTooManyRequests}}},
	{"a key is still a key", []step{call{}}},
	{"a wrong key is still wrong", []step{call{key: "wrong", status: http.StatusUnauthorized}}},
}
