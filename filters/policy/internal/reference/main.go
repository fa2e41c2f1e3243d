// Command reference writes REFERENCE.md, the page of every option of
// tollgate.yaml, from the doc comments of the policy package. `go generate
// ./filters/policy` runs it.
package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

func main() {
	page, err := generate(".")
	if err == nil {
		err = os.WriteFile("REFERENCE.md", page, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

// generate is the page for the package in dir.
func generate(dir string) ([]byte, error) {
	src, err := read(dir)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	_, rules, _ := strings.Cut(prose(src.types["Document"].doc), "\n\n")
	fmt.Fprintf(&out, "<!-- Generated from the comments of document.go by `go generate ./filters/policy`. -->\n\n# tollgate.yaml, every option\n\n%s\n\n", rules)
	for _, name := range []string{"Size", "Duration"} {
		t := src.types[name]
		fmt.Fprintf(&out, "**%s** %s\n\n", name, strings.TrimPrefix(prose(t.doc), name+" "))
	}
	for _, s := range src.sections() {
		if s.path != "" {
			fmt.Fprintf(&out, "## %s\n\n%s\n\n", s.path, prose(s.of.doc))
		}
		fmt.Fprintln(&out, "| option | type | default | bounds | meaning |\n|---|---|---|---|---|")
		for _, o := range s.options {
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s |\n", o.path, o.kind, cell(o.value), cell(o.bounds), cell(o.meaning))
		}
		fmt.Fprintln(&out)
		for _, e := range s.enums {
			fmt.Fprintf(&out, "The values of `%s`:\n\n", e.path)
			for _, v := range e.of.values {
				fmt.Fprintf(&out, "* `%s`%s\n", v.text, strings.TrimPrefix(prose(v.doc), v.name))
			}
			fmt.Fprintln(&out)
		}
	}
	return append(bytes.TrimSpace(out.Bytes()), '\n'), nil
}

// prose joins the lines of each paragraph.
func prose(doc string) string {
	paragraphs := strings.Split(strings.TrimSpace(doc), "\n\n")
	for i, p := range paragraphs {
		paragraphs[i] = strings.Join(strings.Fields(p), " ")
	}
	return strings.Join(paragraphs, "\n\n")
}

func cell(text string) string {
	return strings.NewReplacer("\n\n", " ", "|", `\|`, "<", "&lt;", "{", "&#123;").Replace(text)
}
