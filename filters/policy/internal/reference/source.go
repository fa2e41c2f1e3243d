package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
)

// source is what the package says about its types.
type source struct{ types map[string]*typ }

// typ is a named type: a struct with fields, or a string with values.
type typ struct {
	name, doc string
	fields    []*ast.Field
	values    []value
}

type value struct{ name, text, doc string }

func read(dir string) (*source, error) {
	src := &source{types: map[string]*typ{}}
	for _, name := range []string{"document.go", "size.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			if decl, ok := d.(*ast.GenDecl); ok {
				src.declare(decl)
			}
		}
	}
	for _, t := range src.types {
		for _, f := range t.fields {
			if f.Doc == nil {
				return nil, fmt.Errorf("%s.%s: no comment", t.name, f.Names[0])
			}
		}
	}
	return src, nil
}

// declare takes types before the constants of their values, as the file has them.
func (s *source) declare(decl *ast.GenDecl) {
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			t := &typ{name: spec.Name.Name, doc: decl.Doc.Text()}
			if body, ok := spec.Type.(*ast.StructType); ok {
				t.fields = body.Fields.List
			}
			s.types[t.name] = t
		case *ast.ValueSpec:
			of, ok := spec.Type.(*ast.Ident)
			if !ok || s.types[of.Name] == nil {
				continue
			}
			text, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			s.types[of.Name].values = append(s.types[of.Name].values, value{spec.Names[0].Name, text, spec.Doc.Text()})
		}
	}
}

// section is one mapping of the document.
type section struct {
	path    string
	of      *typ
	options []option
	enums   []enum // value types that appear here first
}

// enum is the values of an option.
type enum struct {
	path string
	of   *typ
}

type option struct {
	path    string // backends[].url
	kind    string // string, list of mappings, …
	value   string // the default, or "required"
	bounds  string
	meaning string
}

// sections are all mappings, from the outside in.
func (s *source) sections() []section {
	seen := map[*typ]bool{}
	var all []section
	var walk func(path string, t *typ)
	walk = func(path string, t *typ) {
		sec := section{path: path, of: t}
		at := len(all)
		all = append(all, sec)
		for _, f := range t.fields {
			o := describe(path, f)
			name, list := element(f.Type)
			of := s.types[name]
			o.kind = kind(name, of, list)
			sec.options = append(sec.options, o)
			if of == nil {
				continue
			}
			if len(of.values) > 0 && !seen[of] {
				seen[of] = true
				sec.enums = append(sec.enums, enum{o.path, of})
			}
			if len(of.fields) > 0 {
				inner := o.path
				if list {
					inner += "[]"
				}
				walk(inner, of)
			}
		}
		all[at] = sec
	}
	walk("", s.types["Document"])
	return all
}

// describe takes a field's comment apart: the meaning, and the paragraph of its
// default and bounds.
func describe(path string, f *ast.Field) option {
	tag, _ := strconv.Unquote(f.Tag.Value)
	key, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
	o := option{path: key}
	if path != "" {
		o.path = path + "." + key
	}
	meaning, facts := prose(f.Doc.Text()), ""
	if i := max(strings.LastIndex(meaning, "\n\ndefault: "), strings.LastIndex(meaning, "\n\nbounds: ")); i >= 0 {
		meaning, facts = meaning[:i], meaning[i+2:]
	}
	for fact := range strings.SplitSeq(facts, "; ") {
		if v, ok := strings.CutPrefix(fact, "default: "); ok {
			o.value = v
		}
		if v, ok := strings.CutPrefix(fact, "bounds: "); ok {
			o.bounds = v
		}
	}
	if rest, ok := strings.CutSuffix(meaning, " Required."); ok {
		meaning, o.value = rest, "required"
	}
	if strings.HasSuffix(meaning, " At least one.") {
		o.value = "required"
	}
	if rest, ok := strings.CutPrefix(meaning, f.Names[0].Name+" "); ok {
		meaning = "`" + key + "` " + rest
	}
	o.meaning = meaning
	return o
}

// element is the name of the type in a field, without pointer and list.
func element(e ast.Expr) (name string, list bool) {
	switch e := e.(type) {
	case *ast.StarExpr:
		return element(e.X)
	case *ast.ArrayType:
		name, _ = element(e.Elt)
		return name, true
	case *ast.Ident:
		return e.Name, false
	}
	return "", false
}

func kind(name string, of *typ, list bool) string {
	one, many := name, name+"s"
	switch {
	case name == "Rate":
		one = "number or mapping"
	case name == "Size" || name == "Duration":
		one = strings.ToLower(name)
	case of != nil && len(of.fields) > 0:
		one, many = "mapping", "mappings"
	case of != nil:
		one, many = "string", "strings"
	case name == "int" || name == "int64":
		one = "number"
	case name == "bool":
		one = "boolean"
	}
	if list {
		return "list of " + many
	}
	return one
}
