//go:build !wasip1

package policy

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// check collects the problems of one document.
type check struct {
	file     string
	root     ast.Node
	problems []*Problem
	failed   map[string]bool // paths that could not be decoded
	layouts  map[reflect.Type]layout

	// What can be referred to.
	products, subscriptions, backends, pools, models names
}

// refuse reports what the decoder met at n. What validation would say about the
// same place follows from it and is left out.
func (c *check) refuse(n ast.Node, path, message string) {
	c.failed[path] = true
	c.report(start(n), path, message)
}

func (c *check) report(at *token.Position, path, message string) {
	c.problems = append(c.problems, &Problem{c.file, at.Line, at.Column, path, message})
}

// fail reports what validation found at path, in the place of the nearest thing
// that the file has.
func (c *check) fail(path, format string, args ...any) {
	n, at := c.root, start(c.root)
	seen := ""
	for _, step := range steps(path) {
		if i, err := strconv.Atoi(step); err == nil {
			seen = index(seen, i)
		} else {
			seen = field(seen, step)
		}
		if c.failed[seen] {
			return
		}
		if n = child(n, step); n != nil {
			at = start(n)
		}
	}
	c.report(at, path, fmt.Sprintf(format, args...))
}

// node is what the file has at path, or nil.
func (c *check) node(path string) ast.Node {
	n := c.root
	for _, step := range steps(path) {
		n = child(n, step)
	}
	return n
}

// steps are the keys and indexes of a path. No key of ours looks like an index.
func steps(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

// child is what stands under a key or at an index of n, or nil.
func child(n ast.Node, step string) ast.Node {
	if list, ok := n.(*ast.SequenceNode); ok {
		if i, err := strconv.Atoi(step); err == nil && i < len(list.Values) {
			return list.Values[i]
		}
		return nil
	}
	keys, _ := entries(n)
	for _, entry := range keys {
		if keyText(entry.Key) == step {
			return entry.Value
		}
	}
	return nil
}

// start is where n begins: the first key of a block mapping, not its colon.
func start(n ast.Node) *token.Position {
	if keys, _ := entries(n); len(keys) > 0 {
		if m, ok := n.(*ast.MappingNode); !ok || !m.IsFlowStyle {
			return keys[0].Key.GetToken().Position
		}
	}
	return n.GetToken().Position
}

func field(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

// names are the elements of a section, by name.
type names struct {
	what    string
	paths   map[string]string
	partial bool // an element has no usable name, so a name that is not found may be meant for it
}

// names reads the names of the n elements of a section, which must be unique.
func (c *check) names(what, section string, n int, name func(i int) string) names {
	all := names{what: what, paths: make(map[string]string, n), partial: c.failed[section]}
	for i := range n {
		at := index(section, i)
		c.name(field(at, "name"), name(i))
		c.add(&all, field(at, "name"), name(i))
	}
	return all
}

// add reports a name that is taken. No name is a problem of its own.
func (c *check) add(all *names, path, name string) {
	if name == "" {
		all.partial = true
		return
	}
	if first, ok := all.paths[name]; ok {
		c.fail(path, "the %s %s is defined at %s already", all.what, quote(name), first)
		return
	}
	all.paths[name] = path
}

// refers requires name to be one of all.
func (c *check) refers(path, name string, all names) {
	if _, ok := all.paths[name]; ok || all.partial || !c.required(path, name) {
		return
	}
	known := make([]string, 0, len(all.paths))
	for n := range all.paths {
		known = append(known, n)
	}
	if meant := nearest(name, known); meant != "" {
		c.fail(path, "no %s is named %s; did you mean %q?", all.what, quote(name), meant)
		return
	}
	c.fail(path, "no %s is named %s", all.what, quote(name))
}

func (c *check) required(path, value string) bool {
	if value == "" {
		c.fail(path, "required")
	}
	return value != ""
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
const digits = "0123456789"

// only says whether all of s, which is not empty, is in set.
func only(s, set string) bool {
	return s != "" && strings.Trim(s, set) == ""
}

// name is the rule for every name but a model's, which is not ours to give.
func (c *check) name(path, name string) {
	if c.required(path, name) && (len(name) > 64 || !only(name, letters+digits+"-_.") || !only(name[:1], letters+digits)) {
		c.fail(path, `want at most 64 letters, digits, "-", "_" and ".", the first a letter or a digit, got %s`, quote(name))
	}
}

// least requires a list to have an element.
func (c *check) least(path string, n int) {
	if n == 0 {
		c.fail(path, "want at least one")
	}
}

// oneOf requires value to be one of known.
func oneOf[T ~string](c *check, path string, value T, known ...T) bool {
	all := make([]string, len(known))
	for i, k := range known {
		if value == k {
			return true
		}
		all[i] = string(k)
	}
	last := len(all) - 1
	if c.required(path, string(value)) {
		c.fail(path, "want %s or %s, got %s", strings.Join(all[:last], ", "), all[last], quote(string(value)))
	}
	return false
}

// between requires value to be within bounds, both included.
func between[T int | int64 | Size | Duration](c *check, path string, value, low, high T) bool {
	if value < low || value > high {
		c.fail(path, "want %v to %v, got %v", low, high, value)
		return false
	}
	return true
}
