// Command filters is tollgate.wasm: one module in two roles, chosen by the
// plugin's configuration.
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o tollgate.wasm ./filters
package main

import (
	"github.com/tollgate/tollgate/filters/attempt"
	"github.com/tollgate/tollgate/filters/gateway"
	"github.com/tollgate/tollgate/filters/internal/host"
)

func main() {}

func init() {
	host.Register(map[string]host.NewPlugin{
		"gateway": gateway.New,
		"attempt": attempt.New,
	})
}
