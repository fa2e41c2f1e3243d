// Package scenarios holds what a user of Tollgate sees, as one table that runs
// on the strict host and on a real Envoy.
package scenarios

import (
	"slices"
	"testing"

	"github.com/tollgate/tollgate/testenv/gateway"
	"github.com/tollgate/tollgate/testenv/mock"
)

// scenario is one row: requests to a gateway, and what their clients and the
// backends must see.
type scenario struct {
	name  string
	steps []step
}

// step is one thing that happens in a scenario.
type step interface{ play(*stage) }

// act is a step that a call cannot say.
type act func(*stage)

func (a act) play(s *stage) { a(s) }

// group is a document with the scenarios that share a gateway on it. Each of
// them has a subscription of its own, so that none sees another's bucket.
type group struct {
	name     string
	document string
	backends []mock.Options // $NAME in the document is the URL of the mock of that name
	options  []gateway.Option
	tables   []table
}

// table is scenarios about one subject.
type table struct {
	name      string
	scenarios []scenario

	// onlyEnvoy are about what the strict host leaves to Envoy.
	onlyEnvoy bool
}

func groups(t *testing.T) []group {
	one := []mock.Options{{Name: "A"}}
	return []group{
		{name: "one backend", document: plain, backends: []mock.Options{{Name: "A"}, {Name: "B"}}, tables: []table{
			{name: "limits", scenarios: limits},
			{name: "callers", scenarios: callers},
			{name: "requests", scenarios: requests},
			{name: "bodies", scenarios: bodies},
			{name: "streams", scenarios: streams},
			{name: "connections", scenarios: connections, onlyEnvoy: true},
			{name: "changes", scenarios: changes},
		}},
		{name: "many limits", document: manyLimits, backends: one, tables: []table{
			{name: "limits", scenarios: severalLimits},
		}},
		{name: "anonymous", document: afterwards, backends: one, tables: []table{
			{name: "callers", scenarios: anonymousCallers},
			{name: "estimate off", scenarios: unreserved},
		}},
		{
			name: "three backends", document: failover,
			backends: []mock.Options{{Name: "A"}, {Name: "B"}, {Name: "C"}},
			options: []gateway.Option{
				gateway.File("secrets/a", secretOfA),
				gateway.Env("SECRET_OF_B", secretOfB),
				gateway.File("secrets/c", secretOfC+"\n"),
			},
			tables: []table{
				{name: "tries", scenarios: tries},
				{name: "secrets", scenarios: rotation, onlyEnvoy: true},
			},
		},
		encrypted(t),
	}
}

func TestScenarios(t *testing.T) {
	for _, engine := range gateway.Engines() {
		t.Run(engine.Name(), func(t *testing.T) {
			for _, group := range groups(t) {
				if group.playsOn(engine) {
					t.Run(group.name, func(t *testing.T) { play(t, engine, group) })
				}
			}
		})
	}
}

func (g group) playsOn(engine gateway.Engine) bool {
	return slices.ContainsFunc(g.tables, func(t table) bool { return t.playsOn(engine) })
}

func (t table) playsOn(engine gateway.Engine) bool {
	return !t.onlyEnvoy || engine.Name() == gateway.Envoy{}.Name()
}

// play runs the tables of a group through one gateway.
func play(t *testing.T, engine gateway.Engine, group group) {
	house := open(t, engine, group)
	played := 0
	for _, table := range group.tables {
		if !table.playsOn(engine) {
			continue
		}
		t.Run(table.name, func(t *testing.T) {
			for _, scenario := range table.scenarios {
				t.Run(scenario.name, func(t *testing.T) {
					s := house.stage(t, played)
					played++
					s.play(scenario.steps)
				})
			}
		})
	}
}
