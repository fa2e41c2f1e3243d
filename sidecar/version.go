package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker.
var version string

type about struct{}

func (*about) Run(s streams) error {
	_, err := fmt.Fprintf(s.out, "tollgate %s %s %s/%s\n", current(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// current is the version of this program. One built without the Makefile has what
// the go command stamped into it: a tag, or a commit's time and hash.
func current() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
