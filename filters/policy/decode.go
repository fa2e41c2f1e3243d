//go:build !wasip1

package policy

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A type with defaults sets them before the keys of the file are read, so that a
// zero in the file stays a zero and meets its bounds.
type defaulter interface{ defaults() }

// A type whose defaults or spelling depend on what the file says completes them
// after its keys have been read.
type completer interface{ complete() }

// A type that may be written as a number says which of its fields that is.
type shortener interface{ short() *int64 }

// decode sets v to what n says. Where n is of the wrong kind it reports that and
// leaves v as it is.
func (c *check) decode(n ast.Node, v reflect.Value, path string) {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		c.refuse(n, path, "anchors, aliases and tags are not read; write the value out")
		return
	case *ast.NullNode:
		c.refuse(n, path, "no value; write one or leave the key out")
		return
	}
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		c.decodeText(n, t, path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		c.decodeStruct(n, v, path)
	case reflect.Slice:
		c.decodeSlice(n, v, path)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		if s, ok := n.(*ast.StringNode); ok && s.Value == "" && v.Elem().Kind() == reflect.String {
			return // what an optional string is for
		}
		c.decode(n, v.Elem(), path)
	case reflect.String:
		c.decodeString(n, v, path)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			c.refuse(n, path, "want true or false, got "+kind(n))
			return
		}
		v.SetBool(b.Value)
	default:
		c.decodeInt(n, v, path)
	}
}

func (c *check) decodeStruct(n ast.Node, v reflect.Value, path string) {
	prepare(v)
	keys, ok := entries(n)
	if s, short := v.Addr().Interface().(shortener); short && !ok {
		if _, ok := n.(*ast.IntegerNode); !ok {
			c.refuse(n, path, "want a whole number or a mapping, got "+kind(n))
			return
		}
		c.decodeInt(n, reflect.ValueOf(s.short()).Elem(), path)
		return
	}
	if !ok {
		c.refuse(n, path, "want a mapping, got "+kind(n))
		return
	}
	known := c.fields(v.Type())
	first := make(map[string]int, len(keys))
	for _, entry := range keys {
		key := keyText(entry.Key)
		at := field(path, key)
		if line := first[key]; line > 0 {
			c.refuse(entry.Key, at, fmt.Sprintf("the key stands in line %d already", line))
			continue
		}
		first[key] = start(entry.Key).Line
		if i, ok := known.index[key]; ok {
			c.decode(entry.Value, v.Field(i), at)
			continue
		}
		c.unknown(n, entry.Key, path, known.names)
	}
	if f, ok := v.Addr().Interface().(completer); ok {
		f.complete()
	}
}

// prepare sets the defaults of a struct and of the structs inside it, which may
// be missing in the file.
func prepare(v reflect.Value) {
	if d, ok := v.Addr().Interface().(defaulter); ok {
		d.defaults()
	}
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Struct {
			prepare(f)
		}
	}
}

// unknown reports a key of the mapping in. The one that was probably meant is
// not reported as missing too.
func (c *check) unknown(in ast.Node, n ast.MapKeyNode, path string, known []string) {
	if _, merge := n.(*ast.MergeKeyNode); merge {
		c.refuse(n, path, "merge keys are not read; write the keys out")
		return
	}
	key := keyText(n)
	if len(key) > 40 || !only(key, letters+digits+"-_.") { // it may be a value, and a secret
		c.refuse(n, path, fmt.Sprintf("an unknown key of %d bytes; known are %s", len(key), strings.Join(known, ", ")))
		return
	}
	message := "unknown key; known are " + strings.Join(known, ", ")
	if meant := nearest(key, known); meant != "" {
		if child(in, meant) == nil {
			c.failed[field(path, meant)] = true
		}
		message = fmt.Sprintf("unknown key; did you mean %q?", meant)
	}
	c.refuse(n, field(path, key), message)
}

func (c *check) decodeSlice(n ast.Node, v reflect.Value, path string) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		c.refuse(n, path, "want a list, got "+kind(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values)))
	for i, item := range s.Values {
		c.decode(item, v.Index(i), index(path, i))
	}
}

// decodeString converts no number and no boolean: 1.10 would turn into 1.1.
func (c *check) decodeString(n ast.Node, v reflect.Value, path string) {
	var text string
	switch n := n.(type) {
	case *ast.StringNode:
		text = n.Value
	case *ast.LiteralNode:
		text = n.Value.Value
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		c.refuse(n, path, "want a string, got "+kind(n))
		return
	default:
		c.refuse(n, path, "want a string, got "+kind(n)+"; put it in quotes")
		return
	}
	switch {
	case text == "":
		c.refuse(n, path, "an empty string; write a value or leave the key out")
	case !utf8.ValidString(text) || !printable(text):
		c.refuse(n, path, "holds a line break or another control character")
	default:
		v.SetString(text)
	}
}

func (c *check) decodeInt(n ast.Node, v reflect.Value, path string) {
	if _, ok := n.(*ast.IntegerNode); !ok {
		c.refuse(n, path, "want a whole number, got "+kind(n))
		return
	}
	// YAML's 010 is 8 and 1_0 is 10; neither is what a reader is sure of.
	text := n.GetToken().Value
	i, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(i, 10) != text {
		c.refuse(n, path, "want a whole number in plain digits")
		return
	}
	v.SetInt(i)
}

func (c *check) decodeText(n ast.Node, t encoding.TextUnmarshaler, path string) {
	var text string
	switch n := n.(type) {
	case *ast.StringNode:
		text = n.Value
	case *ast.IntegerNode, *ast.FloatNode:
		text = n.GetToken().Value
	default:
		c.refuse(n, path, fmt.Sprintf("%v, got %s", t.UnmarshalText(nil), kind(n)))
		return
	}
	if err := t.UnmarshalText([]byte(text)); err != nil {
		c.refuse(n, path, fmt.Sprintf("%v, got %s", err, quote(text)))
	}
}

// layout is the keys of a struct.
type layout struct {
	index map[string]int
	names []string
}

func (c *check) fields(t reflect.Type) layout {
	if l, ok := c.layouts[t]; ok {
		return l
	}
	l := layout{index: map[string]int{}}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		l.index[name] = i
		l.names = append(l.names, name)
	}
	if c.layouts == nil {
		c.layouts = map[reflect.Type]layout{}
	}
	c.layouts[t] = l
	return l
}

// entries are the keys and values of a mapping.
func entries(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode: // one pair inside a flow sequence
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func keyText(n ast.MapKeyNode) string {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value
	}
	return n.GetToken().Value
}

func kind(n ast.Node) string {
	switch n := n.(type) {
	case *ast.StringNode:
		if n.Token.Type == token.StringType && only(n.Value, digits) {
			return "a number too large"
		}
		return "a string"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode:
		return "a number"
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a fraction"
	case *ast.BoolNode:
		return "a boolean"
	case *ast.NullNode:
		return "nothing"
	}
	return "a block of text"
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, unicode.IsControl)
}

func quote(s string) string {
	if len(s) > 80 {
		return fmt.Sprintf("%d bytes", len(s))
	}
	return strconv.Quote(s)
}
