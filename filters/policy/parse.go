//go:build !wasip1

package policy

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Parse reads one tollgate.yaml: strict decoding, defaults, validation. Every
// default is filled in, header names are in lower case. The error joins a
// *Problem for each mistake, one per line in the order of the file; only a
// mistake in the YAML itself hides the ones after it. No error repeats a value
// that may be a secret. The file's name is used for nothing but the errors.
func Parse(file string, src []byte) (*Document, error) {
	c := &check{file: file, failed: map[string]bool{}}
	root := c.read(src)
	if root == nil {
		return nil, join(c.problems)
	}
	c.root = root
	d := new(Document)
	c.decode(root, reflect.ValueOf(d).Elem(), "")
	d.validate(c)
	if err := join(c.problems); err != nil {
		return nil, err
	}
	return d, nil
}

// read returns the mapping that the file consists of, or nil and a problem.
func (c *check) read(src []byte) ast.Node {
	refuse := func(at *token.Position, message string) ast.Node {
		c.report(at, "", message)
		return nil
	}
	if at, message := unreadable(src); at != nil {
		return refuse(at, message)
	}
	// The parser miscounts lines that end in CRLF. Duplicate keys are left to the
	// decoder, which does not stop at the first.
	src = bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
	tree, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return refuse(syntax(err))
	}
	docs := tree.Docs
	if len(docs) == 0 || docs[0].Body == nil {
		return refuse(&token.Position{Line: 1, Column: 1}, "the document is empty")
	}
	root := docs[0].Body
	if _, ok := root.(*ast.DirectiveNode); ok {
		return refuse(start(root), "YAML directives are not read")
	}
	if len(docs) > 1 {
		return refuse(docs[1].Start.Position, "a second YAML document; a file holds one")
	}
	if _, ok := entries(root); !ok {
		return refuse(start(root), "want a mapping with keys such as backends and models, got "+kind(root))
	}
	return root
}

// unreadable finds what no YAML file may hold. Parsers differ in what they make
// of it, so it is not left to one.
func unreadable(src []byte) (at *token.Position, message string) {
	at = &token.Position{Line: 1, Column: 1}
	if bytes.HasPrefix(src, []byte("\ufeff")) {
		return at, "a byte order mark; save the file as UTF-8 without one"
	}
	for len(src) > 0 {
		r, n := utf8.DecodeRune(src)
		switch {
		case r == utf8.RuneError && n == 1:
			return at, "not UTF-8"
		case r == '\n':
			at.Line, at.Column = at.Line+1, 0
		case r == '\r' && !bytes.HasPrefix(src, []byte("\r\n")):
			return at, "a carriage return that ends no line"
		case r < ' ' && r != '\t' && r != '\r', r == 0x7f:
			return at, "a control character"
		}
		src, at.Column = src[n:], at.Column+1
	}
	return nil, ""
}

// plainer says in an operator's words what the parser says in a parser's.
var plainer = []struct{ has, say string }{
	{"\t", "a tab; indent with spaces"},
	{"tab character", "a tab; indent with spaces"},
	{"unexpected key name", `want "key: value"; is the space after a colon missing?`},
	{"non-map value is specified", `want "key: value"; is the space after a colon missing?`},
	{"mapping value is not allowed", `"key: value" cannot stand here; is the indentation wrong?`},
	{"value is not allowed in this context", "a value cannot stand here; is the indentation wrong?"},
	{"invalid header option", "want nothing but an indentation after | or >"}, // the original repeats the text
}

func syntax(err error) (at *token.Position, message string) {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil {
		return &token.Position{Line: 1, Column: 1}, "not YAML"
	}
	message = e.GetMessage()
	for _, p := range plainer {
		if strings.Contains(message, p.has) {
			message = p.say
			break
		}
	}
	return e.GetToken().Position, "not YAML: " + message
}
