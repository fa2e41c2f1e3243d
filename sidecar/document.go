package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tollgate/tollgate/envoy"
	"github.com/tollgate/tollgate/filters/policy"
)

func parse(file string) (*policy.Document, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return policy.Parse(file, src)
}

type check struct {
	Files []string `arg:"" name:"file" help:"The documents."`
}

func (c *check) Run(s streams) error {
	var failed error
	for _, file := range c.Files {
		d, err := parse(file)
		if err != nil {
			_, _ = fmt.Fprintln(s.err, err)
			failed = errPrinted
			continue
		}
		_, _ = fmt.Fprintf(s.out, "%s: %s, %s, %s, %s, %s\n", file,
			count(len(d.Models), "model"), count(len(d.Pools), "pool"), count(len(d.Backends), "backend"),
			count(len(d.Subscriptions), "subscription"), count(len(d.Limits.Tokens), "token limit"))
	}
	return failed
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

type render struct {
	Envoy renderEnvoy `cmd:"" help:"For Envoy 1.39 or later, as files it watches."`
}

type renderEnvoy struct {
	File   string `arg:"" help:"The document."`
	Output string `short:"o" placeholder:"DIR" help:"Write the files, and secrets among them, below this directory. Without it, YAML goes to standard output, without the secrets."`
	Module string `placeholder:"FILE" help:"The wasm module, as Envoy sees it. Default: tollgate.wasm beside this program."`
}

func (r *renderEnvoy) Run(s streams) error {
	d, err := parse(r.File)
	if err != nil {
		return err
	}
	o := envoy.Options{Dir: r.Output, Module: r.Module, BaseDir: filepath.Dir(r.File), Redact: r.Output == ""}
	if o.Module == "" {
		executable, err := os.Executable()
		if err != nil {
			return err
		}
		o.Module = filepath.Join(filepath.Dir(executable), "tollgate.wasm")
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	resources, err := envoy.Render(d, o)
	if err != nil {
		return err
	}
	if r.Output == "" {
		yaml, err := resources.YAML()
		if err != nil {
			return err
		}
		_, err = s.out.Write(yaml)
		return err
	}
	return errors.Join(os.MkdirAll(r.Output, 0o700), resources.Write(r.Output))
}
