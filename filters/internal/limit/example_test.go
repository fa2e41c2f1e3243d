package limit_test

import (
	"fmt"
	"time"

	"github.com/tollgate/tollgate/filters/internal/limit"
)

// memory is a store for one worker.
type memory map[string][]byte

func (m memory) Get(key string) ([]byte, uint32, bool) {
	value, ok := m[key]
	return value, 1, ok
}

func (m memory) Set(key string, value []byte, _ uint32) bool {
	m[key] = append([]byte(nil), value...)
	return true
}

func Example() {
	store := memory{}
	seed := limit.Seed(store, 4) // a random number, in earnest
	table, err := limit.New(store, seed, limit.Groups)
	if err != nil {
		fmt.Println(err)
		return
	}

	// The limit "per-caller" counts by subscription.
	key := table.Key(limit.Append(limit.Append(nil, "per-caller"), "team-a"))
	now := int64(0)
	held, _ := table.Reserve(now, []limit.Charge{{Key: key, Limit: 1000, Tokens: 500}}, nil)
	fmt.Println("A:", held[0].Standing.Remaining, "left")
	held, _ = table.Reserve(now, []limit.Charge{{Key: key, Limit: 1000, Tokens: 400}}, held)
	fmt.Println("B:", held[1].Standing.Remaining, "left")
	_, verdict := table.Reserve(now, []limit.Charge{{Key: key, Limit: 1000, Tokens: 200}}, nil)
	fmt.Println("C: refused, wait", verdict.Wait)

	now += int64(2 * time.Second)
	fmt.Println("A settled:", table.Settle(now, &held[0], 100).Remaining, "left")
	// Output:
	// A: 500 left
	// B: 100 left
	// C: refused, wait 6s
	// A settled: 533 left
}
